"""`cypher serve` in a process of its own: started, asked, told to end; and a PostgreSQL that comes late."""

import asyncio
import contextlib
import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.acceptance.service import free_port, spawn


@dataclass
class Serving:
    """A process, its address, and what it has written."""

    process: Process
    port: int
    admin: int
    said: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def announced(self) -> None:
        """Wait until it says that it serves."""
        async with asyncio.timeout(40):
            while not any("Ctrl-C" in line for line in self.said):
                assert self.process.returncode is None, self.logged
                await asyncio.sleep(0.02)

    async def status(self, path: str, port: int | None = None) -> int:
        """Ask over a connection of its own; 0 where nobody listens."""
        try:
            url = f"http://127.0.0.1:{port or self.port}{path}"
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def until(self, path: str, status: int, port: int | None = None) -> None:
        """Ask again and again until it is answered so."""
        async with asyncio.timeout(40):
            while await self.status(path, port) != status:
                assert self.process.returncode is None, self.logged
                await asyncio.sleep(0.02)

    async def ended(self) -> int:
        """Wait for its end and return its exit status."""
        async with asyncio.timeout(40):
            await self.process.wait()
        assert self.process.returncode is not None
        return self.process.returncode

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged as JSON; fails on a line that is not."""
        return [json.loads(line) for line in self.logged]


@contextlib.asynccontextmanager
async def serve(environment: dict[str, str], *arguments: str, **settings: str) -> AsyncIterator[Serving]:
    """Start it; whatever happens, it is killed at the end."""
    port, admin = free_port(), free_port()
    addresses = {"PORT": str(port), "ADMIN_PORT": str(admin)}
    process = await spawn({**environment, **addresses, **settings}, "-m", "cypher", "serve", *arguments)
    serving = Serving(process, port, admin)
    assert process.stdout
    assert process.stderr
    readers = [
        asyncio.create_task(_read(process.stdout, serving.said)),
        asyncio.create_task(_read(process.stderr, serving.logged)),
    ]
    try:
        yield serving
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.gather(*readers)


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode())


@contextlib.asynccontextmanager
async def forwarded(port: int, host: str, to_port: int) -> AsyncIterator[None]:
    """Answer on `port` with what is at `host`, a name or the folder of PostgreSQL's socket."""
    forwarding: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forwarding.add(asyncio.current_task())  # type: ignore[arg-type]
        if host.startswith("/"):
            far_reader, far_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{to_port}")
        else:
            far_reader, far_writer = await asyncio.open_connection(host, to_port)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    listener = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        listener.close()
        for task in forwarding:
            task.cancel()
        await asyncio.gather(*forwarding, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()
