"""The installation that is looked at: settings, and servers and keys as far as they can be opened, each once."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from cypher.app import key_store, required_password
from cypher.clock import Clock
from cypher.config import Config
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import KeyStore
from cypher.doctor.findings import Away
from cypher.doctor.reasons import postgres_reason, redis_reason
from cypher.embedded import with_running
from cypher.errors import KeyStoreRefused, PostgresUnavailable, RedisUnavailable
from cypher.postgres import Database, Executor
from cypher.redis_client import RedisClient
from cypher.repositories import Repositories, repositories_over
from cypher.repositories.audit_seals import AuditSealRepository
from cypher.repositories.deployment import DeploymentRepository
from cypher.repositories.sealed_columns import SealedColumnsRepository
from cypher.repositories.server import ServerFacts, ServerRepository

Opened = TypeVar("Opened")

#: More patience than requests have: slow is not away.
SECONDS = 5.0
STATEMENT_SECONDS = 60.0
CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class Keyless:
    """The repositories that need no keys."""

    server: ServerRepository
    deployment: DeploymentRepository
    sealed_columns: SealedColumnsRepository
    audit_seals: AuditSealRepository

    @classmethod
    def over(cls, run: Executor) -> "Keyless":
        return cls(
            ServerRepository(run), DeploymentRepository(run), SealedColumnsRepository(run), AuditSealRepository(run)
        )


class Patient:
    """One installation. What could not be opened is not tried again: every later check is told at once."""

    def __init__(self, config: Config, refused: list[str], dotenv: Path, clock: Clock) -> None:
        """`config` as it could be read, `refused` what is wrong with the settings, `dotenv` where some may stand."""
        self.given = config
        self.config = with_running(config)
        self.refused = refused
        self.dotenv = dotenv
        self.clock = clock
        self._closing = AsyncExitStack()
        self._postgres: Database[Keyless] | Away | None = None
        self._redis: RedisClient | Away | None = None
        self._ring: KeyRing | Away | None = None
        self._trail: Database[Repositories] | None = None

    async def close(self) -> None:
        """Close what was opened."""
        await self._closing.aclose()

    async def postgres(self) -> Database[Keyless]:
        """Return a database that cannot be written to; raises Away."""
        if self._postgres is None:
            try:
                self._postgres = await self._open_postgres()
            except Away as away:
                self._postgres = away
        return _there(self._postgres)

    async def facts(self) -> ServerFacts:
        """Return what PostgreSQL says of itself; raises Away."""
        async with (await self.postgres()).connection() as repos:
            facts = await repos.server.get_facts()
        if facts is None:
            raise Away("PostgreSQL", "PostgreSQL says nothing of itself.")
        return facts

    async def redis(self) -> RedisClient:
        """Return an open client; raises Away."""
        if self._redis is None:
            try:
                self._redis = await self._open_redis()
            except Away as away:
                self._redis = away
        return _there(self._redis)

    def store(self) -> KeyStore:
        """Return the key store that the settings name; opens nothing. Raises Away."""
        keys = self.config.keys
        if keys.store == "directory" and keys.path is None:
            raise Away("the key store", "KEY_STORE_PATH is not set.")
        if keys.store == "postgres" and self.config.postgres.embedded:
            raise Away("the key store", "The keys are in PostgreSQL, which does not run.")
        return key_store(self.config)

    async def ring(self) -> KeyRing:
        """Return the key ring, opened; raises Away."""
        if self._ring is None:
            try:
                password = required_password(self.config).reveal()
                self._ring = await asyncio.to_thread(KeyRing.open, self.store(), password, self.clock)
            except KeyStoreRefused as refused:
                self._ring = Away("the key store", str(refused))
            except Away as away:
                self._ring = away
        return _there(self._ring)

    async def trail(self) -> Database[Repositories]:
        """Return a database that opens what is sealed, and cannot be written to; raises Away."""
        await self.postgres()
        ring = await self.ring()
        if self._trail is None:
            over = repositories_over(ring, FieldCodec(ring), BlindIndex(ring))
            config = _patient(self.config).postgres
            self._trail = await Database.open(config, over, read_only=True)
            self._closing.push_async_callback(self._trail.close)
        return self._trail

    async def _open_postgres(self) -> Database[Keyless]:
        config = _patient(self.config).postgres
        if config.embedded:
            raise Away(
                "PostgreSQL",
                f"No embedded PostgreSQL runs under {self.config.embedded_path}: start `cypher serve`, or set "
                "POSTGRES_HOST.",
            )
        database = await Database.open(config, Keyless.over, read_only=True)
        self._closing.push_async_callback(database.close)
        try:
            async with database.connection() as repos:
                await repos.server.get_facts()
        except PostgresUnavailable as exc:
            where = f"PostgreSQL at {','.join(config.hosts)}:{config.port}"
            raise Away("PostgreSQL", f"{where} {postgres_reason(exc)}.") from None
        return database

    async def _open_redis(self) -> RedisClient:
        config = _patient(self.config).redis
        if config.embedded:
            raise Away(
                "Redis",
                f"No embedded Valkey runs under {self.config.embedded_path}: start `cypher serve`, or set REDIS_URL.",
            )
        client = RedisClient.open(config, self.clock)
        self._closing.push_async_callback(client.close)
        try:
            await client.get("cypher:doctor")
        except RedisUnavailable as exc:
            raise Away("Redis", f"Redis {redis_reason(exc)}.") from None
        return client


def _there(opened: Opened | Away) -> Opened:
    if isinstance(opened, Away):
        raise opened
    return opened


def _patient(config: Config) -> Config:
    postgres = replace(
        config.postgres,
        pool_max=CONNECTIONS,
        acquire_seconds=SECONDS,
        connect_seconds=SECONDS,
        statement_seconds=STATEMENT_SECONDS,
        lock_seconds=SECONDS,
    )
    redis = replace(config.redis, connect_seconds=SECONDS / 2, command_seconds=SECONDS / 2)
    return replace(config, postgres=postgres, redis=redis)
