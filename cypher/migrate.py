"""Brings a schema up to date with yoyo, one process at a time, and sets up roles and database on a new server.

Uses psycopg, which yoyo needs, and no pool: it runs before the service and beside it, never on its loop.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote, urlencode

import psycopg
from yoyo import get_backend, read_migrations
from yoyo.backends import DatabaseBackend
from yoyo.exceptions import LockTimeout

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.errors import OperatorError
from cypher.schema import connected, owner_of, value

sql = sqlfiles.load("migrations")


def migrate(config: PostgresConfig, *, retention_days: int | None = None) -> list[str]:
    """Apply what is missing, as the owner of the schema, and return the names of what was applied.

    `retention_days` is how long the audit trail is kept from now on; None leaves it as it is.
    Waits for another process that does this. A lock that yoyo then finds is taken for one of a process that was
    killed, and broken: do not run the plain `yoyo` at the same moment.

    Raises OperatorError when the owner may not do it, or PostgreSQL refuses a migration; that one is undone.
    """
    with _told(config), connected(config, as_owner=True) as connection, connection.transaction():
        if not value(connection, sql.may_create):
            raise _no_owner(config)  # yoyo would go on without its own tables, and fail somewhere else
        connection.execute(sql.wait_for_others.sql)
        with get_backend(_uri(config)) as backend:
            backend.connection.prepare_threshold = None
            backend.break_lock()
            applied = _apply(backend)
    # Not beside yoyo's work, whose tables the rights are for; but one at a time as well: racing GRANTs fail.
    with _told(config), connected(config, as_owner=True) as connection, connection.transaction():
        connection.execute(sql.wait_for_others.sql)
        _make_service_group(connection, config)
        connection.execute(sql.grant_service_rights.sql)
        if retention_days is not None:
            value(connection, sql.set_retention_days, str(retention_days))
        _join_service_group(connection, config)
    return applied


def create_database(config: PostgresConfig) -> list[str]:
    """Make the service's role and the database where they are missing; returns a line for each that was made.

    Raises OperatorError when the owner may not make them.
    """
    made = []
    remedy = (
        "Is it running, and are the POSTGRES_ settings right? On a new server a superuser first makes the role for "
        f"the rest: CREATE ROLE {config.migration_user or 'cypher_owner'} LOGIN CREATEDB CREATEROLE PASSWORD '…'. "
        "POSTGRES_MIGRATION_USER and POSTGRES_MIGRATION_PASSWORD name it."
    )
    try:
        with connected(config, as_owner=True, database="postgres", remedy=remedy) as connection:
            if not value(connection, sql.role_exists, config.user):
                connection.execute(_create_role(connection, config))
                made.append(f"created role {config.user}")
            if not value(connection, sql.database_exists, config.database):
                connection.execute(_text(value(connection, sql.create_database_statement, config.database)))
                made.append(f"created database {config.database}")
    except psycopg.errors.InsufficientPrivilege as exc:
        raise OperatorError(
            f"The role {owner_of(config)[0]} may not create roles and databases. Give it CREATEROLE and CREATEDB, or "
            f"have a superuser create the role {config.user} and the database {config.database}."
        ) from exc
    return made or [f"role {config.user} and database {config.database} are there"]


def _apply(backend: DatabaseBackend) -> list[str]:
    missing = backend.to_apply(read_migrations(str(sqlfiles.migrations_path())))
    with backend.lock():
        backend.apply_migrations(missing)
    return [migration.id for migration in missing]


def _make_service_group(connection: "psycopg.Connection[tuple[object, ...]]", config: PostgresConfig) -> None:
    """Make the group that the migrations grant to where it is missing; who may not is told later."""
    if owner_of(config)[0] == config.user or value(connection, sql.has_group):
        return
    refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation)
    with suppress(*refused), connection.transaction():
        connection.execute(sql.create_group.sql)


def _join_service_group(connection: "psycopg.Connection[tuple[object, ...]]", config: PostgresConfig) -> None:
    """Make the service's role a member of the group that the migrations grant to; one role alone needs none."""
    owner, service = owner_of(config)[0], config.user
    if owner == service:
        return
    grant = str(value(connection, sql.grant_statement, service))
    if not value(connection, sql.has_group):
        raise _superuser_needed(owner, f"create the role cypher_service (NOLOGIN) and run: {grant}")
    try:
        if value(connection, sql.lacks_group, service):
            connection.execute(_text(grant))
    except psycopg.errors.InsufficientPrivilege as exc:
        raise _superuser_needed(owner, f"run: {grant}") from exc


@contextmanager
def _told(config: PostgresConfig) -> Iterator[None]:
    """Say in a sentence what PostgreSQL or yoyo refuses; never in the driver's own words, which quote values."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as exc:
        raise _no_owner(config) from exc
    except psycopg.Error as exc:
        raise OperatorError(
            f"The schema of the database {config.database} could not be brought up to date: PostgreSQL says "
            f"{type(exc).__name__} (SQLSTATE {exc.sqlstate}); its log says more. What was applied before stays."
        ) from exc
    except LockTimeout as exc:
        raise OperatorError("Plain yoyo is at work on this database. Run `cypher migrate` when it has ended.") from exc


def _no_owner(config: PostgresConfig) -> OperatorError:
    owner, database = owner_of(config)[0], config.database
    return OperatorError(
        f"The role {owner} may not make or change tables in the database {database}. Have a superuser run: ALTER "
        f"DATABASE {database} OWNER TO {owner}; and hand over the tables that somebody else has made there."
    )


def _superuser_needed(owner: str, what: str) -> OperatorError:
    return OperatorError(
        f"The schema is up to date, but {owner} may not give the service its rights. Have a superuser {what}; then run "
        "`cypher migrate` again."
    )


def _create_role(connection: "psycopg.Connection[tuple[object, ...]]", config: PostgresConfig) -> bytes:
    password = config.password.reveal().encode() if config.password else b""
    verifier = connection.pgconn.encrypt_password(password, config.user.encode(), b"scram-sha-256")
    return _text(value(connection, sql.create_role_statement, config.user, verifier.decode()))


def _text(statement: object) -> bytes:
    return str(statement).encode()


def _uri(config: PostgresConfig) -> str:
    """Return the owner's connection for yoyo. The host stands in the query, where a socket's folder fits as well."""
    user, password = owner_of(config)
    secret = f":{quote(password.reveal(), safe='')}" if password else ""
    # The database as well: yoyo does not unquote the path of a URL.
    query = {"dbname": config.database, "host": ",".join(config.hosts), "port": str(config.port), **config.tls()}
    if len(config.hosts) > 1:
        query["target_session_attrs"] = "read-write"
    return f"postgresql+psycopg://{quote(user, safe='')}{secret}@/?{urlencode(query)}"
