"""Logging of the process: one line an event on standard error, for people or as JSON.

Of an exception only its type and its place are written: the text of one can quote a row or a request.
"""

import asyncio
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec

from cypher.config import LogConfig

logger = logging.getLogger("cypher")


class JsonLines(logging.Formatter):
    """One JSON object a line; what a record brings as `fields` stands in it beside the rest."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": os.getpid(),
            "event": getattr(record, "event", None) or _told(record),
        }
        return msgspec.json.encode(line | getattr(record, "fields", {})).decode()


class HumanLines(logging.Formatter):
    """One line of text; what is no printable character is escaped, so that nothing can look like a second line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  ")

    def format(self, record: logging.LogRecord) -> str:
        record.asctime = self.formatTime(record)
        told = _told(record)
        return self.formatMessage(record) + (told if told.isprintable() else told.encode("unicode_escape").decode())


def _told(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() + (f": {describe(error)}" if error else "")


def describe(error: BaseException) -> str:
    """Return an unexpected error's type, where it was raised and what it came from, never its text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames[-8:])
    cause = error.__cause__ or error.__context__
    return f"{type(error).__qualname__} at {places}" + (f" from {type(cause).__qualname__}" if cause else "")


def set_up(config: LogConfig) -> None:
    """Send the log of Cypher, and warnings of others, to standard error, and what nobody catches as well.

    Other libraries stay at `warning`: at lower levels some write what they were sent.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if config.format == "json" else HumanLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logger.setLevel(config.level.upper())
    sys.excepthook = _uncaught


def report_unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody waited for, as a loop's exception handler; asyncio's own would write the error's text.

    Where there is no error, libraries say in a sentence of theirs what they found.
    """
    error = context.get("exception")
    logger.error("unexpected in the background: %s", describe(error) if error else context["message"])


def _uncaught(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    logger.critical("ended by an unexpected %s", describe(error.with_traceback(at)))
