"""Fixtures of services over HTTP."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import aiohttp
import pytest

from cypher.clock import Clock
from tests.acceptance.forks import run_forked
from tests.acceptance.person import Person
from tests.acceptance.service import Service, StartService, environment_of, free_port, spawn, start
from tests.contract import watched_client


@pytest.fixture
def environment(postgres_config, redis_config, tmp_path) -> dict[str, str]:
    """Settings of a service on this test's own database."""
    return environment_of(postgres_config, redis_config, tmp_path / "keys")


@pytest.fixture
async def start_service(environment) -> AsyncIterator[StartService]:
    async with contextlib.AsyncExitStack() as stack:

        async def starter(clock: Clock | None = None, **settings: str) -> Service:
            service = await start({**environment, **settings}, clock)
            stack.push_async_callback(service.stop)
            return service

        yield starter


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with watched_client(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
def person(service: Service, http: aiohttp.ClientSession) -> Person:
    return Person(http, service.url, "alice")


@pytest.fixture
async def start_service_elsewhere(other_postgres_config, redis_config, tmp_path) -> AsyncIterator[StartService]:
    """A service on another database with a key store of its own."""
    async with contextlib.AsyncExitStack() as stack:

        async def starter() -> Service:
            service = await start(environment_of(other_postgres_config, redis_config, tmp_path / "other-keys"))
            stack.push_async_callback(service.stop)
            return service

        yield starter


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., Awaitable[CompletedProcess[str]]]:
    """Run `cypher ARGUMENTS` with a service's settings, in a folder without an .env."""

    async def run(service: Service, *arguments: str) -> CompletedProcess[str]:
        return await run_forked({"PATH": os.environ["PATH"], **service.environment}, tmp_path, *arguments)

    return run


@pytest.fixture
async def two_processes(environment) -> AsyncIterator[tuple[str, str]]:
    """Two processes of the service on one database; yields their addresses."""
    ports = [free_port(), free_port()]
    origin = f"http://127.0.0.1:{ports[0]}"
    # Nobody reads their log before the end: a line for each request would fill the pipe, and they would stand still.
    shared = {**environment, "PUBLIC_ORIGIN": origin, "LOG_LEVEL": "warning"}
    processes = [await spawn({**shared, "PORT": str(port)}, "run.py") for port in ports]
    try:
        for process in processes:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), 20)
            assert b"Cypher answers" in line, (line, process.stderr and await process.stderr.read())
        yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        ended = await asyncio.gather(*(process.communicate() for process in processes))
        assert [process.returncode for process in processes] == [0, 0], ended
