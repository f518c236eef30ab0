"""PostgreSQL that is away when a service starts: alive, not ready, and serving by itself when it comes."""

import os
import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from cypher.client import CypherClient
from cypher.config import PostgresConfig
from tests.acceptance.own_process import forwarded, serve
from tests.acceptance.service import free_port
from tests.contract import watched_client
from tests.faulty_proxy import Connection, Heard, PostgresProxy


@pytest.fixture
def away(environment: dict[str, str]) -> dict[str, str]:
    """Settings of a service whose PostgreSQL does not answer yet, at POSTGRES_PORT."""
    return {**environment, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(free_port())}


@pytest.fixture
def arrival(environment: dict[str, str], away: dict[str, str]) -> Any:
    """Return what lets it come."""
    return lambda: forwarded(
        int(away["POSTGRES_PORT"]), environment["POSTGRES_HOST"], int(environment["POSTGRES_PORT"])
    )


@pytest.fixture
async def public() -> AsyncIterator[aiohttp.ClientSession]:
    async with watched_client() as session:
        yield session


async def test_it_is_alive_and_not_ready_until_postgresql_comes_and_then_serves(
    away: dict[str, str], arrival: Any, public: aiohttp.ClientSession
) -> None:
    async with serve(away) as serving:
        await serving.until("/health/live", 200)
        for port in (serving.port, serving.admin):
            assert [await serving.status(path, port) for path in ("/health/live", "/health/ready")] == [200, 503]
        async with public.get(f"{serving.url}/health/ready") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            waiting = {"postgres": False, "redis": False, "migrations": False, "keys": False}
            assert await answer.json() == {"status": "not ready", **waiting}
        async with public.post(f"{serving.url}/v1/login/start", json={}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "dependency_unavailable")
        assert serving.said == []
        async with arrival():
            await serving.until("/health/ready", 200)
            assert await serving.status("/health/ready", serving.admin) == 200
            await serving.announced()
            async with CypherClient(serving.url) as client:
                await client.register("ada", "correct horse battery staple")
            serving.process.send_signal(signal.SIGTERM)
            assert await serving.ended() == 0
    told = [line["event"] for line in serving.lines()]
    # Sooner at first, and never all the time.
    pauses = [event.rpartition("again in ")[2] for event in told if "does not let" in event]
    assert pauses[:2] == ["0.5 s.", "1 s."][: len(pauses)]
    assert told.count("PostgreSQL is there") == 1


async def test_what_is_refused_is_refused_when_it_comes_and_nothing_was_served(
    away: dict[str, str], arrival: Any, start_service: Any
) -> None:
    await start_service()
    os.chmod(away["KEY_STORE_PATH"], 0o755)
    async with serve(away) as serving:
        await serving.until("/health/ready", 503)
        async with arrival():
            while serving.process.returncode is None:
                assert await serving.status("/health/ready") in (0, 503)
    assert serving.process.returncode == 1
    assert "chmod 700" in serving.logged[-1]
    assert serving.said == []


class RefusesTheKeyStore(PostgresProxy):
    """Cuts the first connections over which the keys are asked for."""

    left = 2

    def _listening(self, connection: Connection) -> Heard:
        return CutWithItsName(self, connection)


@dataclass
class CutWithItsName(Heard):
    proxy: RefusesTheKeyStore
    connection: Connection

    def passes(self, data: bytes) -> bool:
        if b"cypher key store" not in data or not self.proxy.left:
            return True
        self.proxy.left -= 1
        self.connection.cut()
        return False


async def test_postgresql_that_goes_away_between_two_looks_at_it_is_waited_for(
    environment: dict[str, str], postgres_config: PostgresConfig
) -> None:
    del environment["KEY_STORE_PATH"]
    keys = {"KEY_STORE": "postgres", "MASTER_ENCRYPTION_PASSWORD": secrets.token_urlsafe(32)}
    async with RefusesTheKeyStore.before(postgres_config) as (proxy, reached):
        there = {"POSTGRES_HOST": reached.hosts[0], "POSTGRES_PORT": str(reached.port)}
        async with serve({**environment, **keys, **there}) as serving:
            await serving.until("/health/ready", 200)
            assert proxy.left == 0
    told = [line["event"] for line in serving.lines()]
    assert sum("key store at PostgreSQL" in event and "trying again" in event for event in told) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_while_it_waits(away: dict[str, str], number: int) -> None:
    async with serve(away) as serving:
        await serving.until("/health/ready", 503)
        serving.process.send_signal(number)
        assert await serving.ended() == 0
    assert serving.lines()[-1]["event"] == "stopped before it served"
