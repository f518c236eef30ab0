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


#: Asked on the same connection once there is an answer: whoever answers it still knows where requests begin.
NEXT_ID = "the-request-after"
NEXT = f"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: {NEXT_ID}\r\n\r\n".encode()


async def converse(port: int, sent: bytes) -> list[Raw]:
    """Send bytes and, after the first answer, one request more; return what was answered before the answer to that.

    The last answer is `closed` where the service hung up instead. Raises TimeoutError when nothing comes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers: list[Raw] = []
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            while True:
                answers.append(await read_answer(reader))
                if answers[-1].headers.get("x-request-id") == NEXT_ID:
                    assert answers.pop().status == 200
                    return answers
                if len(answers) == 1:
                    writer.write(NEXT)
    except (asyncio.IncompleteReadError, ConnectionError) as exc:
        if getattr(exc, "partial", b""):
            raise
        if answers:
            answers[-1].closed = True
        return answers
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> Raw:
    """Read one answer; raise IncompleteReadError when the service hangs up instead."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Raw(int(status.split()[1]), headers, body, closed=False)


async def _answers(reader: asyncio.StreamReader, *, until_closed: bool) -> list[Raw]:
    answers: list[Raw] = []
    while True:
        try:
            async with asyncio.timeout(5 if until_closed or not answers else 0.2):
                answers.append(await read_answer(reader))
        except asyncio.IncompleteReadError as exc:
            if exc.partial:
                raise
            if answers:
                answers[-1].closed = True
            return answers
        except (TimeoutError, ConnectionResetError):
            return answers
