"""A whole installation of a module's own, on servers that its tests may spoil: healthy, with a person and a trail."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from redis import Redis

from cypher.clock import SystemClock
from cypher.config import Config, PostgresConfig, RedisConfig, load, read_settings
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import FILE, DirectoryKeyStore
from cypher.doctor import Line, Patient, Report, examine
from cypher.embedded import Embedded
from cypher.migrate import migrate
from cypher.serving import running
from tests.acceptance.person import Person
from tests.contract import watched_client
from tests.factories import as_owner
from tests.processes import private_folder

#: As `openssl rand -base64 32` draws.
MASTER_PASSWORD = "pO3vzYwQ8m1kTtXc5LrB7nHs2JfGd9Ua4eWx6KqZi0E="


class ShiftedClock(SystemClock):
    """The machine's clock, but for so much."""

    def __init__(self, shift: timedelta) -> None:
        self._shift = shift

    def now(self):
        return super().now() + self._shift


@dataclass(frozen=True)
class Installation:
    """Settings that name servers and a key store of its own."""

    folder: Path
    environment: dict[str, str]

    @property
    def config(self) -> Config:
        return load(self.environment, None)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints.jsonl"

    def owner(self, statement: str, *args: object) -> list[tuple[object, ...]]:
        """Run a statement with the rights of the schema's owner."""
        return as_owner(self.config.postgres, statement, *args)

    def superuser(self, *statements: str) -> None:
        """Run statements with all rights, each by itself."""
        postgres = self.config.postgres
        where = f"host={postgres.hosts[0]} user=postgres dbname={postgres.database}"
        with psycopg.connect(where, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def redis(self, *command: object) -> None:
        url = self.config.redis.url
        assert url
        with Redis.from_url(url) as client:
            client.execute_command(*command)

    def ring(self) -> KeyRing:
        return KeyRing.open(DirectoryKeyStore(self.keys), MASTER_PASSWORD, SystemClock())

    @contextmanager
    def ring_put_back(self) -> Iterator[KeyRing]:
        """Lend the ring to be spoilt; afterwards the store is what it was."""
        file = self.keys / FILE
        before = file.read_bytes()
        try:
            yield self.ring()
        finally:
            file.write_bytes(before)

    async def examine(self, shift: timedelta = timedelta(0), dotenv: Path | None = None, **settings: str) -> Report:
        """Look at it with other settings, or by another clock."""
        config, refused = read_settings({**self.environment, **settings}, dotenv)
        patient = Patient(config, refused, dotenv or self.folder / ".env", ShiftedClock(shift))
        try:
            return await examine(patient)
        finally:
            await patient.close()


@contextmanager
def installed() -> Iterator[Installation]:
    """Make one: servers, schema, keys, a person who has logged in, a sealed trail, a checkpoint."""
    with private_folder() as folder, Embedded.start(folder / "servers") as embedded:
        postgres, redis = embedded.postgres(PostgresConfig()), embedded.redis(RedisConfig())
        environment = {
            "POSTGRES_HOST": postgres.hosts[0],
            "POSTGRES_USER": postgres.user,
            "POSTGRES_DB": postgres.database,
            "POSTGRES_MIGRATION_USER": postgres.migration_user or "",
            "REDIS_URL": redis.url or "",
            "REDIS_CONNECT_MS": "4000",
            "REDIS_COMMAND_MS": "4000",
            "MASTER_ENCRYPTION_PASSWORD": MASTER_PASSWORD,
            "KEY_STORE_PATH": str(folder / "keys"),
            "AUDIT_CHECKPOINT": str(folder / "checkpoints.jsonl"),
        }
        installation = Installation(folder, environment)
        migrate(installation.config.postgres)
        asyncio.run(_live(installation.config))
        yield installation


async def _live(config: Config) -> None:
    async with running(config, SystemClock(), port=0) as listeners, watched_client() as http:
        person = Person(http, f"http://127.0.0.1:{listeners.public.port}", "alice")
        assert (await person.register()).status == 201
        assert (await person.login()).status == 200


def lines(report: Report, check: str) -> list[Line]:
    return [line for line in report.checks if line.check == check]
