"""Clients that send or read slowly, or not at all, are cut off; each test waits for the cut, with little patience."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop
from web_fakes import Fakes, config_of

from cypher.web.application import make_web_app
from cypher.web.connection import Connection, Patience
from cypher.web.server import WebServer

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
#: Far more than the patience of any test, far less than that of the service.
IN_TIME = 5.0


@contextlib.asynccontextmanager
async def patient_for(**seconds: float) -> AsyncIterator[WebServer]:
    server = await WebServer.start(
        make_web_app(Fakes().services(), config_of()), "127.0.0.1", 0, patience=Patience(**seconds)
    )
    try:
        yield server
    finally:
        await server.stop()


async def until_cut(reader: asyncio.StreamReader) -> bytes:
    """Return what came before the service hung up."""
    async with asyncio.timeout(IN_TIME):
        return await reader.read()


async def drip(writer: asyncio.StreamWriter, sent: bytes) -> None:
    """Send byte by byte, for as long as somebody listens."""
    with contextlib.suppress(ConnectionError):
        for byte in sent:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)


async def test_a_connection_that_says_nothing_is_cut_off():
    async with patient_for(head=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await until_cut(reader) == b""
        writer.close()


@pytest.mark.parametrize("head", [GET + b"X: " + b"a" * 1000, b"\r\n" * 1000, b"GET /" + b"a" * 1000])
async def test_a_head_that_comes_byte_by_byte_is_cut_off(head: bytes):
    async with patient_for(head=0.1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        dripping = asyncio.create_task(drip(writer, head))
        with contextlib.suppress(ConnectionResetError):
            assert await until_cut(reader) == b""
        await dripping
        writer.close()


async def test_a_second_head_has_no_more_time_than_the_first():
    async with patient_for(head=0.5) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET + b"\r\n")
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.write(GET)
        assert await until_cut(reader) == b""
        writer.close()


async def test_between_two_requests_a_client_may_take_its_time_and_not_more():
    async with patient_for(head=0.3, idle=1.2) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(2):
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"}")
            await asyncio.sleep(0.4)
        assert await until_cut(reader) == b""
        writer.close()


async def test_a_head_that_takes_less_is_answered():
    async with patient_for(head=2) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await drip(writer, GET + b"\r\n")
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.close()


async def test_a_body_that_comes_byte_by_byte_is_answered_and_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cypher.web.body.BODY_SECONDS", 0.1)
    async with patient_for(linger=0.1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /v1/login/finish HTTP/1.1\r\nHost: x\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        dripping = asyncio.create_task(drip(writer, b"{" * 1000))
        assert b"400 Bad Request" in await reader.readuntil(b"}")
        await dripping
        writer.close()


async def test_a_client_that_does_not_read_is_cut_off():
    await _never_read()


def test_nor_does_one_hold_the_connection_under_the_loop_of_the_service():
    uvloop.run(_never_read())


async def _never_read() -> None:
    """Ask for far more than fits between the two, and read nothing."""
    async with patient_for(reading=0.2) as server:
        with contextlib.closing(socket.socket()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
            await _one_connection(server)
            await _all_gone(server)


async def test_an_answer_that_nobody_takes_does_not_outlive_its_connection():
    async with patient_for(idle=0.2, reading=0.2) as server:
        with contextlib.closing(socket.socket()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            connection = await _one_connection(server)
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
            await _all_gone(server)


async def _one_connection(server: WebServer) -> Connection:
    async with asyncio.timeout(IN_TIME):
        while not server._runner.server.connections:
            await asyncio.sleep(0.01)
    [connection] = server._runner.server.connections
    return connection


async def _all_gone(server: WebServer) -> None:
    async with asyncio.timeout(IN_TIME):
        while server._runner.server.connections:
            await asyncio.sleep(0.01)
