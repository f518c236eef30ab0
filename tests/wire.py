"""HTTP byte by byte: what no client library lets a test send, and every answer that comes back."""

import asyncio
import json
from dataclasses import dataclass


@dataclass
class Raw:
    """An answer read from the socket, byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    def json(self) -> dict[str, object]:
        parsed: dict[str, object] = json.loads(self.body)
        return parsed


async def send(port: int, sent: bytes, *, until_closed: bool = False) -> list[Raw]:
    """Send bytes, read what comes until the server falls silent or hangs up; every answer found in it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        return await _answers(reader, until_closed=until_closed)
    finally:
        writer.close()


async def _answers(reader: asyncio.StreamReader, *, until_closed: bool) -> list[Raw]:
    answers: list[Raw] = []
    while True:
        try:
            async with asyncio.timeout(5 if until_closed or not answers else 0.2):
                head = await reader.readuntil(b"\r\n\r\n")
                status, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
            answers.append(Raw(int(status.split()[1]), headers, body, closed=False))
        except asyncio.IncompleteReadError as exc:
            if exc.partial:
                raise
            if answers:
                answers[-1].closed = True
            return answers
        except (TimeoutError, ConnectionResetError):
            return answers
