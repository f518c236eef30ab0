"""What a database's schema lacks, and the connection for such questions: psycopg's, and no pool.

Apart from `migrate`, so that who only asks imports no yoyo: whatever starts asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from cypher import sqlfiles
from cypher.config import PostgresConfig, Secret
from cypher.errors import OperatorError, PostgresUnavailable
from cypher.sqlfiles import Query

sql = sqlfiles.load("migrations")

CONNECT_SECONDS = 5
REMEDY = (
    "Is it running, was `cypher init-db --all` run, and are the POSTGRES_ settings right (password, POSTGRES_SSL…)?"
)


def pending(config: PostgresConfig) -> list[str]:
    """Return the migrations that a schema lacks; works with the rights of the service.

    Raises PostgresUnavailable when the server cannot be reached, OperatorError when it does not show the service
    what was applied.
    """
    with connected(config, as_owner=False) as connection:
        known = bool(value(connection, sql.has_history))
        try:
            applied = {row[0] for row in connection.execute(sql.list_applied.sql)} if known else set()
        except psycopg.errors.InsufficientPrivilege as exc:
            raise OperatorError(
                f"The role {config.user} may not read this database's tables. Run `cypher migrate`, which grants it."
            ) from exc
        except psycopg.OperationalError as exc:  # it went away in between
            raise PostgresUnavailable from exc
    return [migration for migration in names() if migration not in applied]


def names() -> list[str]:
    """Return every migration of this version, in order; what yoyo finds there as well."""
    files = sqlfiles.migrations_path().glob("*.sql")
    return sorted(file.stem for file in files if not file.name.endswith(".rollback.sql"))


@contextmanager
def connected(
    config: PostgresConfig, *, as_owner: bool, database: str | None = None, remedy: str = REMEDY
) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    user, password = owner_of(config) if as_owner else (config.user, config.password)
    try:
        connection = psycopg.connect(
            make_conninfo(**config.tls()),
            host=",".join(config.hosts),
            port=config.port,
            user=user,
            password=password.reveal() if password else None,
            dbname=database or config.database,
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
            target_session_attrs="read-write" if len(config.hosts) > 1 else "any",
            prepare_threshold=None,  # a pool in between would meet statements that another connection has prepared
        )
    except psycopg.OperationalError as exc:
        raise PostgresUnavailable(
            f"PostgreSQL at {','.join(config.hosts)}:{config.port} does not let {user} in to the database "
            f"{database or config.database}. {remedy}"
        ) from exc
    with connection:
        yield connection


def value(connection: "psycopg.Connection[tuple[object, ...]]", query: Query, *args: str) -> object:
    row = psycopg.RawCursor(connection).execute(query.sql.encode(), args).fetchone()
    return row[0] if row else None


def owner_of(config: PostgresConfig) -> tuple[str, Secret | None]:
    if config.migration_user is None:
        return config.user, config.password
    return config.migration_user, config.migration_password
