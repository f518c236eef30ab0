"""Real servers for every test: one PostgreSQL and one Valkey for the whole run, one database for each test.

The servers are embedded ones under a folder of this run, or those that CYPHER_TEST_POSTGRES (a superuser's URL) and
CYPHER_TEST_REDIS (as REDIS_URL), or one of the two, name. Workers of pytest-xdist share them. CYPHER_TEST_POOLER
(host:port) names a pooler in transaction mode before that PostgreSQL, through which each test then reaches its own.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import opaque_ke_py
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal
from redis import Redis

from cypher.clock import SystemClock
from cypher.config import PostgresConfig, RedisConfig, Secret, load
from cypher.embedded import Embedded
from tests.memory import in_memory

#: The folder of this run; the controller makes it, workers inherit it.
RUN = "CYPHER_TEST_RUN"
MASTER_PASSWORD = "a master password for tests, long enough"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = tempfile.mkdtemp(prefix="cypher-test-", dir=in_memory())


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    run = Path(os.environ.pop(RUN))
    if "CYPHER_TEST_POSTGRES" in os.environ and (run / "template").exists():
        with _external_servers().superuser() as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(_template(run))))
    shutil.rmtree(run)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers of this run are; `postgres` names no database yet."""

    admin: str
    postgres: PostgresConfig
    redis: RedisConfig

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            yield connection


def _external_servers() -> Servers:
    admin = os.environ["CYPHER_TEST_POSTGRES"]
    parts = conninfo_to_dict(admin)
    postgres = PostgresConfig(
        hosts=(str(parts["host"]),),
        port=int(parts.get("port") or 5432),
        user="cypher_test",
        password=Secret("cypher-test"),
        migration_user="cypher_test_owner",
        migration_password=Secret("cypher-test-owner"),
    )
    return Servers(admin, postgres, RedisConfig())


def _embedded_servers(path: Path, stack: ExitStack) -> Servers:
    embedded = stack.enter_context(Embedded.start(path))
    postgres = embedded.postgres(PostgresConfig())
    admin = f"host={postgres.hosts[0]} user=postgres dbname=postgres"
    servers = Servers(admin, postgres, embedded.redis(RedisConfig()))
    # A disk that other tests keep busy must not hold up a command. Safe against kill -9 all the same.
    with _alone(path / "fast"), servers.superuser() as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    assert servers.redis.url
    with Redis.from_url(servers.redis.url) as client:
        client.config_set("appendfsync", "no")
    return servers


def patient(redis: RedisConfig) -> RedisConfig:
    """Wait as long as a busy machine takes: for whatever is not about a Redis that is away."""
    return replace(redis, connect_seconds=4.0, command_seconds=4.0)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _template(run: Path) -> str:
    return run.name.replace("-", "_").lower()


def _make_roles(servers: Servers) -> None:
    """Make the schema's owner and the service's role on a server that is not ours."""
    postgres = servers.postgres
    roles = (
        (postgres.migration_user, postgres.migration_password, "CREATEROLE"),
        (postgres.user, postgres.password, "NOCREATEROLE"),
    )
    with _alone(Path(os.environ[RUN]) / "roles.lock"), servers.superuser() as connection:
        for name, password, option in roles:
            assert name
            assert password
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
                connection.execute(SQL("CREATE ROLE {}").format(Identifier(name)))
            statement = SQL("ALTER ROLE {} LOGIN {} PASSWORD {}")
            connection.execute(statement.format(Identifier(name), SQL(option), Literal(password.reveal())))


def _make_template(servers: Servers, name: str) -> None:
    from cypher.migrate import migrate

    owner = servers.postgres.migration_user
    assert owner
    with servers.superuser() as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name)))  # of an attempt that failed
        connection.execute(SQL("CREATE DATABASE {} OWNER {}").format(Identifier(name), Identifier(owner)))
    migrate(replace(servers.postgres, database=name))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Redis; every worker joins, the last one to leave stops them."""
    outside = {"CYPHER_TEST_POSTGRES", "CYPHER_TEST_REDIS"} & set(os.environ)
    with ExitStack() as stack:
        servers = None
        if len(outside) < 2:
            servers = _embedded_servers(Path(os.environ[RUN]) / "servers", stack)
        if "CYPHER_TEST_POSTGRES" in outside:
            own, servers = servers, _external_servers()
            _make_roles(servers)
            servers = replace(servers, redis=own.redis) if own else servers
        if "CYPHER_TEST_REDIS" in outside:
            servers = replace(servers, redis=load({"REDIS_URL": os.environ["CYPHER_TEST_REDIS"]}, None).redis)
        yield replace(servers, redis=patient(servers.redis))


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """Name of the migrated database that every test's own is a copy of; made by the first worker that needs it."""
    run = Path(os.environ[RUN])
    with _alone(run / "template.lock"):
        if not (run / "template").exists():
            _make_template(servers, _template(run))
            (run / "template").touch()
    return _template(run)


def _reached(config: PostgresConfig) -> PostgresConfig:
    """Return how a test reaches its database."""
    if "CYPHER_TEST_POOLER" not in os.environ:
        return config
    host, _, port = os.environ["CYPHER_TEST_POOLER"].rpartition(":")
    return replace(config, hosts=(host,), port=int(port), pooled=True)


@contextmanager
def _database(servers: Servers, template: str | None) -> Iterator[PostgresConfig]:
    name = f"t_{secrets.token_hex(8)}"
    create = SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    owner = servers.postgres.migration_user
    assert owner
    with servers.superuser() as connection:
        connection.execute(create.format(Identifier(name), Identifier(owner), Identifier(template or "template0")))
    yield _reached(replace(servers.postgres, database=name))
    with servers.superuser() as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def postgres_config(servers: Servers, template: str) -> Iterator[PostgresConfig]:
    """A migrated database of this test's own, reached as the service's role; dropped afterwards."""
    with _database(servers, template) as config:
        yield config


@pytest.fixture(scope="module")
def unchanged_postgres_config(servers: Servers, template: str) -> Iterator[PostgresConfig]:
    """One for all tests of a module, which only look at it: to make one takes a tenth of a second."""
    with _database(servers, template) as config:
        yield config


@pytest.fixture
def other_postgres_config(servers: Servers, template: str) -> Iterator[PostgresConfig]:
    """A second one."""
    with _database(servers, template) as config:
        yield config


@pytest.fixture
def empty_postgres_config(servers: Servers) -> Iterator[PostgresConfig]:
    """A database of this test's own without any table."""
    with _database(servers, None) as config:
        yield config


@pytest.fixture(scope="session")
def redis_config(servers: Servers) -> RedisConfig:
    """The one Redis of this run: tests keep apart by their epochs and never flush it."""
    return servers.redis


@pytest.fixture(scope="session")
def redis_url(redis_config: RedisConfig) -> str:
    assert redis_config.url
    return redis_config.url


@pytest.fixture
async def redis(redis_config: RedisConfig) -> AsyncIterator[object]:
    """An open RedisClient."""
    from cypher.redis_client import RedisClient

    client = RedisClient.open(redis_config)
    yield client
    await client.close()


@pytest.fixture
def ring(tmp_path: Path) -> object:
    """A key ring of this test's own, in `tmp_path / "keys"` under MASTER_PASSWORD; few rounds, to be quick."""
    from cypher.crypto.keyring import KeyRing
    from cypher.crypto.keystore import DirectoryKeyStore

    store = DirectoryKeyStore(tmp_path / "keys")
    setup = opaque_ke_py.server_setup().to_bytes()
    return KeyRing.create(store, MASTER_PASSWORD, SystemClock(), opaque_setup=setup, rounds=1000)


@pytest.fixture
def codec(ring) -> object:
    from cypher.crypto.codec import FieldCodec

    return FieldCodec(ring)


@pytest.fixture
async def leases(postgres_config: PostgresConfig, ring) -> AsyncIterator[object]:
    """Counts of uses on this test's own database, a million for each key."""
    from cypher.maintenance.leases import Leases
    from cypher.postgres import Database
    from cypher.repositories.deployment import DeploymentOnly

    database = await Database.open(postgres_config, DeploymentOnly.over)
    yield Leases(database, ring, 1_000_000)
    await database.close()


@pytest.fixture
def keeper(db, ring, leases) -> object:
    from cypher.auth.audit import Audit
    from cypher.crypto.blind_index import BlindIndex
    from cypher.crypto.keyring import RotationPolicy
    from cypher.maintenance.key_keeping import KeyKeeper

    policy = RotationPolicy(age=timedelta(days=90), operations=1_000_000)
    audit = Audit(SystemClock(), BlindIndex(ring))
    return KeyKeeper(db=db, ring=ring, leases=leases, audit=audit, clock=SystemClock(), policy=policy)


@pytest.fixture
async def db(postgres_config: PostgresConfig, ring, codec) -> AsyncIterator[object]:
    """An open Database[Repositories] on this test's own database."""
    from cypher.crypto.blind_index import BlindIndex
    from cypher.postgres import Database
    from cypher.repositories import repositories_over

    database = await Database.open(postgres_config, repositories_over(ring, codec, BlindIndex(ring)))
    yield database
    await database.close()
