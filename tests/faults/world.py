"""What a fault happens to: servers of its own, proxies before them, and some instances of the service."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from redis import Redis

from cypher.config import PostgresConfig, RedisConfig
from tests.acceptance.service import environment_of
from tests.faults.own_service import OwnService
from tests.faulty_proxy import HOST, FaultyProxy, PostgresProxy
from tests.own_postgres import OwnPostgres
from tests.own_redis import OwnServer
from tests.postgres_topologies import Pair
from tests.processes import private_folder
from tests.redis_nodes import Servers

#: What one has ended, the other must not let in.
INSTANCES = 2
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
        with private_folder(on_disk=True) as folder:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What one fault happens to. Some faults bring servers of another shape, which nothing proxies."""

    postgres: OwnPostgres | Pair
    redis: OwnServer | Servers
    services: tuple[OwnService, ...]
    database: PostgresConfig  #: the service's, reached without a proxy
    environment: dict[str, str]  #: of whoever looks at it without a proxy
    to_postgres: PostgresProxy | None = None
    to_redis: FaultyProxy | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(service.url for service in self.services)

    @property
    def checkpoints(self) -> Path:
        """Where the audit trail's are."""
        return Path(self.environment["AUDIT_CHECKPOINT"])

    def superuser(self) -> AbstractContextManager[psycopg.Connection]:
        return self.postgres.superuser(self.database.database)


@asynccontextmanager
async def world(
    servers: OwnServers, through: frozenset[str] = frozenset(), instances: int = INSTANCES
) -> AsyncIterator[World]:
    """Start a service on a new database; `through` says which of `postgres` and `redis` it reaches through a proxy."""
    async with (
        own_folder(servers) as folder,
        PostgresProxy.before(servers.postgres.config) as (to_postgres, proxied),
        FaultyProxy.open(servers.redis.url.removeprefix("unix://")) as to_redis,
    ):
        with servers.postgres.database(folder.name) as database:
            direct = settings(database, servers.redis.url, folder)
            reached = dict(direct)
            if "postgres" in through:
                reached |= {"POSTGRES_HOST": proxied.hosts[0], "POSTGRES_PORT": str(proxied.port)}
            if "redis" in through:
                reached["REDIS_URL"] = f"redis://{HOST}:{to_redis.port}/0"
            try:
                async with serving(reached, folder, instances) as services:
                    yield World(
                        postgres=servers.postgres,
                        redis=servers.redis,
                        services=services,
                        database=database,
                        environment=direct,
                        to_postgres=to_postgres,
                        to_redis=to_redis,
                    )
            finally:
                await to_postgres.pass_on()
                servers.postgres.start()


@asynccontextmanager
async def own_folder(servers: OwnServers) -> AsyncIterator[Path]:
    """Lend a folder whose name is free for a database as well, beside servers that work."""
    await servers.mend()
    folder = servers.folder / f"f_{secrets.token_hex(6)}"
    folder.mkdir()
    yield folder


def settings(database: PostgresConfig, redis_url: str, folder: Path) -> dict[str, str]:
    """Return a service's, with its keys and the checkpoints of its trail in `folder`."""
    environment = environment_of(database, RedisConfig(url=redis_url), folder / "keys") | SETTINGS
    del environment["POSTGRES_POOL_MAX"]  # faults meet the defaults
    return environment | {"AUDIT_CHECKPOINT": str(folder / "checkpoints.jsonl")}


@asynccontextmanager
async def serving(
    environment: dict[str, str], folder: Path, instances: int = INSTANCES
) -> AsyncIterator[tuple[OwnService, ...]]:
    """Run instances that are one service, the first of which makes the keys."""
    origin = {"PUBLIC_ORIGIN": "http://cypher.example.com"}
    services = tuple(OwnService(environment | origin, folder / f"service-{at}.log") for at in range(instances))
    async with AsyncExitStack() as stack:
        for service in services:
            stack.callback(service.kill)
            await service.start()
        yield services
