"""The places that checkpoints of the audit trail go to: a file, standard output, a webhook."""

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

from cypher.config.audit import Place, Webhook
from cypher.crypto.durable import make_directory
from cypher.errors import OperatorError
from cypher.maintenance.checkpoints import Sink

WEBHOOK_SECONDS = 5.0


def sink_of(place: Place) -> Sink | None:
    """Return the sink of a setting; raises OperatorError for a file that cannot be written."""
    if place is None:
        return None
    if isinstance(place, Path):
        return FileSink(place)
    return StdoutSink() if place == "stdout" else WebhookSink(Webhook(place))


class FileSink:
    """Appends to a file, and is done when the disk has it."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if need be, so that a wrong path shows at the start."""
        self._path = path
        self._append(b"")

    async def publish(self, line: bytes) -> None:
        await asyncio.to_thread(self._append, line)

    def _append(self, line: bytes) -> None:
        try:
            make_directory(self._path.parent, 0o700)
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with open(file, "rb+", buffering=0) as opened:
                size = opened.seek(0, os.SEEK_END)
                # Of a line that a crash has cut short nothing must remain in front of this one.
                if line and size and os.pread(file, 1, size - 1) != b"\n":
                    line = b"\n" + line
                opened.write(line)
                os.fsync(file)
        except OSError as exc:
            raise OperatorError(
                f"AUDIT_CHECKPOINT names {self._path}, which cannot be written ({exc.strerror})."
            ) from exc


class StdoutSink:
    """Prints, for whoever collects what the service prints."""

    async def publish(self, line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


class WebhookSink:
    """Posts to an address that the operator trusts; what is posted is signed."""

    def __init__(self, url: Webhook) -> None:
        self._url = url

    async def publish(self, line: bytes) -> None:
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_SECONDS)
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(self._url, data=line.strip(), headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, OSError) as exc:  # TimeoutError is one
            raise OperatorError("The webhook of AUDIT_CHECKPOINT does not answer.") from exc
        if not 200 <= status < 300:
            raise OperatorError(f"The webhook of AUDIT_CHECKPOINT answers {status}.")
