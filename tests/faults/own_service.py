"""Servers of a fault's own, proxies before them, and one process of the service."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from redis import Redis

from cypher.config import PostgresConfig, RedisConfig
from tests.acceptance.service import ROOT, environment_of, free_port
from tests.faulty_proxy import HOST, FaultyProxy, PostgresProxy
from tests.own_postgres import OwnPostgres
from tests.own_redis import OwnServer
from tests.processes import private_folder

START_SECONDS = 30
#: What the service has to drain, and a moment.
STOP_SECONDS = 35
#: Wrong codes are sent on purpose.
SETTINGS = {"TOTP_FAILURES_SHORT": "off", "TOTP_FAILURES_DAY": "off"}


@dataclass(frozen=True, slots=True)
class OwnServers:
    """PostgreSQL and Valkey that one fault after the other happens to."""

    folder: Path
    postgres: OwnPostgres
    redis: OwnServer

    @classmethod
    @contextmanager
    def start(cls) -> Iterator["OwnServers"]:
        with private_folder() as folder:
            (folder / "postgres").mkdir(mode=0o700)
            (folder / "redis").mkdir(mode=0o700)
            redis = OwnServer(folder / "redis")
            try:
                yield cls(folder, OwnPostgres(folder / "postgres"), redis)
            finally:
                redis.kill()

    def versions(self) -> list[str]:
        """Ask both what they are."""
        with self.postgres.superuser() as connection, Redis.from_url(self.redis.url) as redis:
            return [
                f"PostgreSQL {connection.info.server_version // 10_000}",
                f"Valkey {redis.info('server')['valkey_version']}",
            ]

    async def mend(self) -> None:
        """Put both back to work, whatever an earlier fault that failed has left."""
        self.postgres.start()
        self.postgres.execute("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
        self.redis.thaw()
        await self.redis.restart()


class OwnService:
    """A process of the service that may be killed and started again on the same port; its log is a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._port = free_port()
        self._environment = {
            **{"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_FORMAT": "human", "LOG_LEVEL": "info"},
            **environment,
            "PORT": str(self._port),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "run.py"], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    async def start(self) -> None:
        """Start it and return when it is ready."""
        self.spawn()
        assert self._process is not None
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as http:
            while not await self._is_ready(http):
                assert self._process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """Kill it where it stands; a second time does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> int:
        """Ask it to end, while proxies go on; returns its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class World:
    """What one fault happens to."""

    servers: OwnServers
    to_postgres: PostgresProxy
    to_redis: FaultyProxy
    service: OwnService
    database: PostgresConfig  #: the service's, reached without a proxy
    environment: dict[str, str]  #: of whoever looks at it without a proxy
    checkpoints: Path  #: of the audit trail

    @property
    def postgres(self) -> OwnPostgres:
        return self.servers.postgres

    @property
    def redis(self) -> OwnServer:
        return self.servers.redis


@asynccontextmanager
async def world(servers: OwnServers, through: frozenset[str]) -> AsyncIterator[World]:
    """Start a service on a new database; `through` says which of `postgres` and `redis` it reaches through a proxy."""
    await servers.mend()
    name = f"f_{secrets.token_hex(6)}"
    folder = servers.folder / name
    folder.mkdir()
    async with (
        PostgresProxy.before(servers.postgres.config) as (to_postgres, proxied),
        FaultyProxy.open(servers.redis.url.removeprefix("unix://")) as to_redis,
    ):
        with servers.postgres.database(name) as database:
            redis = RedisConfig(url=servers.redis.url)
            direct = environment_of(database, redis, folder / "keys") | SETTINGS
            checkpoints = folder / "checkpoints.jsonl"
            direct["AUDIT_CHECKPOINT"] = str(checkpoints)
            reached = dict(direct)
            if "postgres" in through:
                reached |= {"POSTGRES_HOST": proxied.hosts[0], "POSTGRES_PORT": str(proxied.port)}
            if "redis" in through:
                reached["REDIS_URL"] = f"redis://{HOST}:{to_redis.port}/0"
            # Faults meet the defaults.
            del reached["POSTGRES_POOL_MAX"]
            service = OwnService(reached, folder / "service.log")
            try:
                await service.start()
                yield World(servers, to_postgres, to_redis, service, database, direct, checkpoints)
            finally:
                service.kill()
                await to_postgres.pass_on()
                servers.postgres.start()
