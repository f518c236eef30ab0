"""SIGTERM: not ready first, what is under way is finished, exit 0. Asked twice, it does not wait."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

from tests.acceptance.own_process import Serving, serve

BODY = b'{"username": "ada"}'


@contextlib.asynccontextmanager
async def under_way(serving: Serving) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request without the end of its body, for which its handler waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    head = f"POST /v1/login/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
    # Told to go on, a client knows that somebody waits for what comes.
    writer.write(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode() + BODY[:5])
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_it_is_not_ready_first_and_answers_until_balancers_have_seen_it(environment: dict[str, str]) -> None:
    async with serve(environment, SHUTDOWN_DELAY_SECONDS="2") as serving:
        await serving.announced()
        asked = time.monotonic()
        serving.process.send_signal(signal.SIGTERM)
        await serving.until("/health/ready", 503)
        assert await serving.status("/health/ready", serving.admin) == 503
        assert await serving.status("/v1/config") == 200
        assert await serving.ended() == 0
        assert time.monotonic() - asked >= 2
        assert await serving.status("/health/live") == 0


async def test_what_is_under_way_is_finished(environment: dict[str, str]) -> None:
    async with serve(environment) as serving:
        await serving.announced()
        async with under_way(serving) as (reader, writer):
            serving.process.send_signal(signal.SIGTERM)
            await serving.until("/health/live", 0)
            writer.write(BODY[5:])
            answer = await reader.read()
            assert b"validation_failed" in answer, answer
        assert await serving.ended() == 0


async def test_asked_twice_it_breaks_off_what_is_under_way(environment: dict[str, str]) -> None:
    async with serve(environment) as serving:
        await serving.announced()
        async with under_way(serving) as (reader, _):
            serving.process.send_signal(signal.SIGTERM)
            await serving.until("/health/live", 0)
            began = time.monotonic()
            serving.process.send_signal(signal.SIGTERM)
            assert await reader.read() == b""
            assert time.monotonic() - began < 3  # nobody waited for the request's own deadline
        assert await serving.ended() == 0
