"""PostgreSQL and Redis to measure on: those that POSTGRES_… and REDIS_… name, or embedded ones in a throw-away folder.

Nothing of a user's is touched: no `.env` is read, `.cypher` is not used, and every database is made and dropped here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import ObjectInUse
from psycopg.sql import SQL, Identifier

from cypher.clock import new_bytes, new_token
from cypher.config import Config, LimitsConfig, PostgresConfig, Secret, load
from cypher.embedded import complete
from cypher.migrate import create_database, migrate

#: Who may do everything on the embedded server, and make databases there.
SUPERUSER = "postgres"
NAMED = ("POSTGRES_", "REDIS_")
#: Each waits five seconds.
DROP_ATTEMPTS = 6
#: People do not log in a thousand times a minute, and no run may end by its tokens' end.
SETTINGS = {
    "MASTER_ENCRYPTION_PASSWORD": new_token(),
    "ACCESS_TOKEN_SECONDS": "3600",
    "TOTP_FAILURES_SHORT": "off",
    "TOTP_FAILURES_DAY": "off",
    "ADMIN_PORT": "off",
    **{f"RATE_LIMIT_{limit.name.upper()}": "off" for limit in fields(LimitsConfig)},
}


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers, and a folder for what is to be gone with them."""

    config: Config  #: its database is the server's, not one to work on
    folder: Path
    embedded: bool

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[PostgresConfig]:
        """Make a database of a new name, and drop it at the end."""
        config = replace(self.config.postgres, database=f"cypher_bench_{new_bytes(6).hex()}")
        create_database(config)
        try:
            if migrated:
                migrate(config)
            yield config
        finally:
            drop(config)

    def settings(self, postgres: PostgresConfig) -> dict[str, str]:
        """Return the settings of a service on a database of these servers, with a key store of its own."""
        redis = self.config.redis
        named = {
            "POSTGRES_HOST": ",".join(postgres.hosts),
            "POSTGRES_PORT": str(postgres.port),
            "POSTGRES_USER": postgres.user,
            "POSTGRES_PASSWORD": _revealed(postgres.password),
            "POSTGRES_DB": postgres.database,
            **{f"POSTGRES_{name.upper()}": value for name, value in postgres.tls().items()},
            "POSTGRES_POOL_MAX": str(postgres.pool_max),
            "REDIS_URL": redis.url or "",
            "REDIS_PASSWORD": _revealed(redis.password),
            # The time that a busy machine takes: a hit that is not counted in Redis is not measured.
            "REDIS_CONNECT_MS": "5000",
            "REDIS_COMMAND_MS": "5000",
            "KEY_STORE_PATH": str(self.folder / f"keys-{postgres.database}"),
        }
        return {name: value for name, value in (SETTINGS | named).items() if value}


@contextmanager
def started(folder: Path, environ: Mapping[str, str]) -> Iterator[Servers]:
    """Start what the environment does not name, inside `folder`, and stop it at the end."""
    named = {name: value for name, value in environ.items() if name.startswith(NAMED)}
    config, embedded = complete(load({**named, **SETTINGS, "EMBEDDED_PATH": str(folder / "servers")}, None))
    try:
        if embedded and embedded.holds_postgres:
            config = replace(config, postgres=replace(config.postgres, migration_user=SUPERUSER))
        yield Servers(config, folder, embedded is not None)
    finally:
        if embedded:
            embedded.stop()


def connected(config: PostgresConfig, *, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as whoever owns the schema; each statement commits."""
    password = config.migration_password if config.migration_user else config.password
    return psycopg.connect(
        make_conninfo(**config.tls()),
        host=",".join(config.hosts),
        port=config.port,
        user=config.migration_user or config.user,
        password=_revealed(password) or None,
        dbname=database or config.database,
        autocommit=True,
    )


def drop(config: PostgresConfig) -> None:
    """Drop a database with whoever is still connected to it.

    PostgreSQL ends them, waits for five seconds until they are gone, and gives up. On a crowded machine that may be too
    short, and who comes back in between is waited for as well.
    """
    name = Identifier(config.database)
    with connected(config, database="postgres") as connection:
        connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        for attempt in range(1, DROP_ATTEMPTS + 1):
            try:
                connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            except ObjectInUse:
                if attempt == DROP_ATTEMPTS:
                    raise
            else:
                return


def _revealed(secret: Secret | None) -> str:
    return secret.reveal() if secret else ""
