"""A PostgreSQL of one test's own, which it may stop, kill and start again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.sql import SQL, Identifier

from cypher.config import PostgresConfig
from cypher.embedded import postgres, postgres_binaries
from cypher.embedded.place import Place
from cypher.migrate import migrate

#: So few that one test can hold them all; a service has thirty at most.
CONNECTIONS = 60


class OwnPostgres:
    """An embedded server under an empty folder, with a migrated database that others are copies of."""

    def __init__(self, folder: Path) -> None:
        """Start it; whoever owns the folder kills what lives in it."""
        self._place = Place.at(folder.resolve())
        self.start()
        self.config = postgres.completed(PostgresConfig(), self._place)
        # A disk that other tests keep busy must not hold up a command. Safe against a kill all the same.
        self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        migrate(self.config)

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """End it: everybody's connections are cut and it writes everything down, or it just dies."""
        stopped = self._place.run(
            postgres_binaries() / "pg_ctl", "stop", "-D", str(self._place.path / postgres.NAME), "-m", mode
        )
        assert stopped.returncode == 0, stopped.stderr

    def start(self) -> None:
        """Return when it answers; at once if it runs."""
        postgres.start(self._place, max_connections=CONNECTIONS)

    @contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """Connect; each statement commits, also where the server is read-only by default."""
        with psycopg.connect(
            host=self.config.hosts[0],
            user="postgres",
            dbname=database,
            autocommit=True,
            options="-c default_transaction_read_only=off",
        ) as connection:
            yield connection

    def execute(self, *statements: str) -> None:
        with self.superuser() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def database(self, name: str) -> Iterator[PostgresConfig]:
        """Copy the migrated database, and drop the copy at the end."""
        owner = self.config.migration_user
        assert owner
        create = SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        with self.superuser() as connection:
            connection.execute(create.format(Identifier(name), Identifier(owner), Identifier(self.config.database)))
        yield replace(self.config, database=name)
        with self.superuser() as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
