"""Logging of the process: one line an event on standard error, for people or as JSON."""

import logging
from datetime import UTC, datetime

import msgspec

from cypher.config import LogConfig


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        return msgspec.json.encode(line).decode()


def set_up(config: LogConfig) -> None:
    """Send the log of Cypher, and warnings of others, to standard error.

    Other libraries stay at `warning`: at lower levels some write what they were sent.
    """
    handler = logging.StreamHandler()
    human = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    handler.setFormatter(JsonLines() if config.format == "json" else human)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("cypher").setLevel(config.level.upper())
