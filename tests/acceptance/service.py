"""A service over HTTP: in this process where a test looks inside, as a process of its own where it must not."""

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from cypher.app import Resources, resources
from cypher.auth.audit import Details
from cypher.auth.use_cases import Services
from cypher.clock import Clock, SystemClock
from cypher.config import Config, load
from cypher.crypto.keyring import Purpose
from cypher.embedded import postgres_binaries
from cypher.maintenance.sealing import Sealer
from cypher.web.application import make_web_app
from cypher.web.server import WebServer
from cypher.wiring import build_services
from tests.contract import watched_client

ROOT = Path(__file__).parents[2]
#: Tests log in more often than people do. What is about limits asks for the defaults, or sets its own.
NO_LIMITS = {
    f"RATE_LIMIT_{name}": "off"
    for name in (
        *("LOGIN_NAME_ADDRESS", "LOGIN_NAME", "LOGIN_ADDRESS"),
        *("REGISTRATION_ADDRESS", "REFRESH_ADDRESS", "DEFAULT_ADDRESS"),
    )
}
DEFAULT_LIMITS = dict.fromkeys(NO_LIMITS, "")
StartService = Callable[..., Awaitable["Service"]]


@dataclass
class Service:
    """One instance in this process."""

    config: Config
    environment: dict[str, str]
    resources: Resources
    services: Services
    server: WebServer
    owner_dsn: dict[str, Any]
    closing: contextlib.AsyncExitStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def client(self, **options: Any) -> aiohttp.ClientSession:
        return watched_client(timeout=aiohttp.ClientTimeout(total=20), **options)

    async def stop(self) -> None:
        await self.closing.aclose()

    def with_keys(self, **changes: Any) -> Config:
        return replace(self.config, keys=replace(self.config.keys, **changes))

    def setup(self) -> bytes:
        return self.resources.ring.primary(Purpose.OPAQUE).secret

    async def execute(self, statement: str) -> None:
        """Run SQL with the rights of the schema's owner."""
        connection = await asyncpg.connect(**self.owner_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def audit(self, action: str) -> list[asyncpg.Record]:
        """Return the entries of one kind, oldest first."""
        await self.resources.audit.flush(self.resources.db)
        connection = await asyncpg.connect(**self.owner_dsn)
        try:
            return await connection.fetch("SELECT * FROM audit_logs WHERE action = $1 ORDER BY id", action)
        finally:
            await connection.close()

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        """Read with the rights of the schema's owner."""
        connection = await asyncpg.connect(**self.owner_dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    async def seal(self) -> None:
        """Seal the whole trail. Transactions of other tests' databases hold it back for a moment."""
        await self.resources.audit.flush(self.resources.db)
        sealer = Sealer(db=self.resources.upkeep, ring=self.resources.ring, clock=self.resources.clock)
        lag = 1
        async with asyncio.timeout(30):
            while lag:
                await sealer.seal()
                async with self.resources.db.connection() as repos:
                    lag = (await repos.audit_seals.get_lag()).entries

    async def times(self, action: str) -> int:
        """Return how often something happened: entries counted together are one."""
        return sum([(await self.details(entry)).count for entry in await self.audit(action)])

    async def details(self, entry: asyncpg.Record) -> Details:
        """Open what an entry says of people."""
        async with self.resources.db.connection() as repos:
            (stored,) = (await repos.trail.find_entries([entry["id"]])).values()
            secrets = await repos.audit_subjects.find_secrets({entry["user_id"]} - {None})
            return msgspec.json.decode(await repos.trail.open_details(stored, secrets), type=Details)

    async def audited_actions(self) -> list[str]:
        await self.resources.audit.flush(self.resources.db)
        return [row["action"] for row in await self.fetch("SELECT action FROM audit_logs")]

    async def record_of(self, username: str) -> bytes:
        async with self.resources.db.connection() as repos:
            record = await repos.users.find_login_record(username)
        assert record is not None
        return record.opaque_record

    async def dump(self) -> str:
        """Return what `pg_dump` writes of the database, with what was held back until now."""
        await self.resources.audit.flush(self.resources.db)
        dsn = self.owner_dsn
        environment = {**os.environ, "PGPASSWORD": dsn.get("password") or ""}
        dump = await asyncio.create_subprocess_exec(
            str(postgres_binaries() / "pg_dump"),
            *("-h", dsn["host"], "-p", str(dsn["port"]), "-U", dsn["user"], "-d", dsn["database"]),
            stdout=PIPE,
            env=environment,
        )
        written, _ = await dump.communicate()
        assert dump.returncode == 0
        return written.decode()

    async def redis_content(self) -> bytes:
        """Return every key with its value, also those that stand where none of ours should."""
        redis = self.resources.redis._redis
        content = b""
        async for key in redis.scan_iter(count=1000):
            is_hits = await redis.type(key) == b"list"
            value = b" ".join(await redis.lrange(key, 0, -1)) if is_hits else await redis.get(key)
            content += key + b"=" + (value or b"") + b"\n"
        return content

    async def take_from_redis(self, kind: str) -> dict[bytes, bytes]:
        """Delete every value of one kind and return what stood there, or all with "*"."""
        redis, taken = self.resources.redis._redis, {}
        async for key in redis.scan_iter(match=f"cypher:{self.resources.ring.epoch}:{kind}:*", count=1000):
            taken[key] = await redis.getdel(key)
        return taken

    async def bring_back_to_redis(self, values: dict[bytes, bytes]) -> None:
        """Do what a failover to a replica that was behind does."""
        for key, value in values.items():
            await self.resources.redis._redis.set(key, value, px=60_000)

    async def plant_in_redis(self, value: bytes) -> None:
        await self.resources.redis._redis.set(f"cypher:{self.resources.ring.epoch}:planted", value, px=60_000)


def environment_of(postgres, redis, keys: Path) -> dict[str, str]:
    settings = {
        "POSTGRES_HOST": ",".join(postgres.hosts),
        "POSTGRES_PORT": str(postgres.port),
        "POSTGRES_USER": postgres.user,
        "POSTGRES_DB": postgres.database,
        "POSTGRES_POOLER": "transaction" if postgres.pooled else "",
        "POSTGRES_PASSWORD": postgres.password.reveal() if postgres.password else "",
        "POSTGRES_MIGRATION_USER": postgres.migration_user or "",
        "POSTGRES_MIGRATION_PASSWORD": postgres.migration_password.reveal() if postgres.migration_password else "",
        "REDIS_URL": redis.url or "",
        "REDIS_CONNECT_MS": str(round(redis.connect_seconds * 1000)),
        "REDIS_COMMAND_MS": str(round(redis.command_seconds * 1000)),
        "REDIS_PASSWORD": redis.password.reveal() if redis.password else "",
        "MASTER_ENCRYPTION_PASSWORD": "a master password for tests, long enough",
        "KEY_STORE_PATH": str(keys),
        "POSTGRES_POOL_MAX": "10",
        # What is about operators starts their listener itself, on a port that is free.
        "ADMIN_PORT": "off",
        # Nobody balances here.
        "SHUTDOWN_DELAY_SECONDS": "0",
        **NO_LIMITS,
    }
    return {name: value for name, value in settings.items() if value}


async def start(environment: dict[str, str], clock: Clock | None = None) -> Service:
    config = load(environment, None)
    postgres = config.postgres
    closing = contextlib.AsyncExitStack()
    opened = await closing.enter_async_context(resources(config, clock or SystemClock(), may_create_keys=True))
    services = build_services(opened)
    server = await WebServer.start(make_web_app(services, config), "127.0.0.1", 0)
    closing.push_async_callback(server.stop)
    password = postgres.migration_password or postgres.password
    owner = {
        "host": postgres.hosts[0],
        "port": postgres.port,
        "user": postgres.migration_user or postgres.user,
        "password": password.reveal() if password else None,
        "database": postgres.database,
    }
    return Service(config, environment, opened, services, server, owner, closing)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def spawn(environment: dict[str, str], *command: str, stderr: int = PIPE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=environment.get("TEST_FOLDER", str(ROOT)),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdout=PIPE,
        stderr=stderr,
    )
