"""The proxy does what tests of faults believe it does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faulty_proxy import HOST, FaultyProxy

SOON = 0.05


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[FaultyProxy]:
    """One before a server that says everything again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(echo, tmp_path / "s")
    async with FaultyProxy.open(str(tmp_path / "s")) as proxy:
        yield proxy
    server.close()
    await asyncio.sleep(SOON)  # or the server's ends of the connections are not closed yet


async def connect(proxy: FaultyProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, proxy.port)


async def say(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes:
    reader, writer = connection
    writer.write(text)
    return await reader.readexactly(len(text))


async def hears_nothing(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bool:
    """Tell whether a connection is cut."""
    try:
        return await connection[0].read(100) == b""
    except OSError:
        return True


async def test_what_is_frozen_goes_on_its_way_later(proxy: FaultyProxy) -> None:
    connection = await connect(proxy)
    assert await say(connection, b"before") == b"before"
    proxy.freeze()
    asked = asyncio.create_task(say(connection, b"held back"))
    done, _ = await asyncio.wait([asked], timeout=SOON)
    assert not done
    await proxy.pass_on()
    assert await asked == b"held back"
    connection[1].close()


async def test_a_byte_comes_after_the_other(proxy: FaultyProxy) -> None:
    connection = await connect(proxy)
    proxy.trickle(SOON)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await say(connection, b"slow") == b"slow"
    assert loop.time() - began > 3 * SOON
    connection[1].close()


async def test_cut_connections_are_cut_and_new_ones_are_taken(proxy: FaultyProxy) -> None:
    connection = await connect(proxy)
    await say(connection, b"before")
    proxy.cut()
    assert await hears_nothing(connection)
    again = await connect(proxy)
    assert await say(again, b"after") == b"after"
    for each in (connection, again):
        each[1].close()


async def test_who_is_refused_is_taken_again_at_the_same_port(proxy: FaultyProxy) -> None:
    connection = await connect(proxy)
    await proxy.refuse()
    assert await hears_nothing(connection)
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.pass_on()
    again = await connect(proxy)
    assert await say(again, b"after") == b"after"
    for each in (connection, again):
        each[1].close()
