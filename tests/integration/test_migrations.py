"""The schema comes and goes as a whole, whoever brings it, and however often."""

import asyncio
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from yoyo import get_backend, read_migrations

from cypher import sqlfiles
from cypher.config import Secret
from cypher.errors import OperatorError, PostgresUnavailable
from cypher.migrate import create_database, migrate
from cypher.schema import names, pending
from tests.factories import connect_as_owner, owner_of

ROOT = Path(__file__).parents[2]
ALL = sorted(path.stem for path in sqlfiles.migrations_path().glob("*.sql") if not path.stem.endswith(".rollback"))


def uri(config) -> str:
    password = config.migration_password
    secret = f":{quote(password.reveal())}" if password else ""
    query = urlencode({"host": config.hosts[0], "port": config.port})
    return f"postgresql+psycopg://{config.migration_user}{secret}@/{config.database}?{query}"


def tables(config) -> set[str]:
    with connect_as_owner(config) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        return {name for (name,) in rows if "yoyo" not in name}


def schema(config) -> set[str]:
    """Return what there is: relations, columns and functions with their bodies."""
    with connect_as_owner(config) as connection:
        rows = connection.execute(
            "SELECT proname || md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT table_name || '.' || column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name NOT LIKE '%yoyo%'"
        )
        return {name for (name,) in rows} | tables(config)


def test_every_migration_has_a_rollback() -> None:
    folder = sqlfiles.migrations_path()
    assert [name for name in ALL if not (folder / f"{name}.rollback.sql").exists()] == []


def test_it_applies_all_then_nothing(empty_postgres_config) -> None:
    assert migrate(empty_postgres_config) == ALL
    assert migrate(empty_postgres_config) == []
    assert pending(empty_postgres_config) == []


def test_every_migration_goes_back_one_by_one_and_comes_again(empty_postgres_config) -> None:
    migrate(empty_postgres_config)
    whole = schema(empty_postgres_config)
    with get_backend(uri(empty_postgres_config)) as backend:
        migrations = read_migrations(str(sqlfiles.migrations_path()))
        for migration in backend.to_rollback(migrations):
            before = schema(empty_postgres_config)
            backend.rollback_migrations(migrations.filter(lambda m, this=migration: m.id == this.id))
            assert schema(empty_postgres_config) != before
    assert schema(empty_postgres_config) == set()
    assert migrate(empty_postgres_config) == ALL
    assert schema(empty_postgres_config) == whole


def test_the_plain_yoyo_command_with_our_yoyo_ini_does_the_same(empty_postgres_config) -> None:
    config = empty_postgres_config
    environment = {
        "PATH": os.environ["PATH"],
        "POSTGRES_HOST": config.hosts[0],
        "POSTGRES_PORT": str(config.port),
        "POSTGRES_DB": config.database,
        "POSTGRES_USER": config.migration_user or "",
        "PGPASSWORD": config.migration_password.reveal() if config.migration_password else "",
    }

    def yoyo(*arguments: str) -> None:
        command = [sys.executable, "-m", "yoyo", *arguments]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)

    yoyo("apply")
    assert pending_as_owner(config) == []
    assert migrate(config) == []
    yoyo("rollback", "-r", ALL[0])
    assert tables(config) == set()
    yoyo("apply")
    assert pending_as_owner(config) == []


def pending_as_owner(config) -> list[str]:
    return pending(owner_of(config))


async def test_four_that_migrate_at_once_do_not_collide(empty_postgres_config) -> None:
    script = (
        "import sys, pickle; from cypher.migrate import migrate;"
        "print(len(migrate(pickle.loads(bytes.fromhex(sys.argv[1])))))"
    )
    argument = pickle.dumps(empty_postgres_config).hex()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, argument, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert sorted(out.decode().strip() for out, _ in outputs) == ["0", "0", "0", str(len(ALL))], outputs


def test_a_lock_of_a_process_that_was_killed_is_broken(empty_postgres_config) -> None:
    with get_backend(uri(empty_postgres_config)), connect_as_owner(empty_postgres_config) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 12345)")
    assert migrate(empty_postgres_config) == ALL


def test_a_schema_that_is_behind_is_told(empty_postgres_config) -> None:
    assert pending(empty_postgres_config) == ALL
    migrate(empty_postgres_config)
    with connect_as_owner(empty_postgres_config) as connection:
        connection.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [ALL[-1]])
    assert pending(empty_postgres_config) == [ALL[-1]]


def test_a_server_that_is_away_is_said_in_one_sentence(empty_postgres_config) -> None:
    with pytest.raises(PostgresUnavailable, match="POSTGRES_"):
        pending(replace(empty_postgres_config, hosts=("127.0.0.1",), port=1))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET action = 'x'",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "DROP TABLE audit_logs",
        "DELETE FROM audit_logs_long",
        "CREATE TABLE mine (x int)",
        "UPDATE deployment SET epoch = 'x'",
        "ALTER TABLE users ADD COLUMN x int",
    ],
)
def test_the_services_role_may_not(postgres_config, statement: str) -> None:
    password = postgres_config.password
    with (
        psycopg.connect(
            host=postgres_config.hosts[0],
            port=postgres_config.port,
            user=postgres_config.user,
            password=password.reveal() if password else None,
            dbname=postgres_config.database,
            autocommit=True,
        ) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_one_role_alone_is_enough(empty_postgres_config) -> None:
    alone = replace(owner_of(empty_postgres_config), migration_user=None, migration_password=None)
    assert migrate(alone) == ALL
    assert pending(alone) == []


def test_init_db_makes_role_and_database_once(servers, empty_postgres_config) -> None:
    name = f"{empty_postgres_config.database}_made"
    wanted = replace(empty_postgres_config, database=name, user=f"{name}_role")
    with servers.superuser() as connection:
        connection.execute(f"ALTER ROLE {wanted.migration_user} CREATEDB")
    try:
        assert len(create_database(wanted)) == 2
        assert "there" in create_database(wanted)[0]
        assert migrate(wanted) == ALL
    finally:
        with servers.superuser() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE IF EXISTS {wanted.user}")


@pytest.fixture
def stranger(servers, empty_postgres_config):
    """A role that may log in to the database and owns nothing."""
    name = f"{empty_postgres_config.database}_stranger"
    with servers.superuser() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'stranger'")
    password = Secret("stranger")
    yield replace(empty_postgres_config, user=name, password=password, migration_user=None, migration_password=None)
    with servers.superuser() as connection:
        connection.execute(f"DROP DATABASE {empty_postgres_config.database} WITH (FORCE)")
        connection.execute(f"DROP ROLE {name}")


def test_a_role_that_does_not_own_the_database_is_told_whose_it_must_be(servers, stranger) -> None:
    with pytest.raises(OperatorError, match=f"ALTER DATABASE {stranger.database} OWNER TO {stranger.user};"):
        migrate(stranger)
    with servers.superuser() as connection:
        connection.execute(f"ALTER DATABASE {stranger.database} OWNER TO {stranger.user}")
    assert migrate(stranger) == ALL


def test_a_role_that_does_not_own_the_tables_is_told_so_and_changes_nothing(
    servers, stranger, empty_postgres_config
) -> None:
    migrate(empty_postgres_config)
    with servers.superuser() as connection:
        connection.execute(f"ALTER DATABASE {stranger.database} OWNER TO {stranger.user}")
    before = schema(empty_postgres_config)
    with pytest.raises(OperatorError, match="hand over the tables"):
        migrate(stranger)
    assert schema(empty_postgres_config) == before


def test_a_migration_that_postgresql_refuses_is_one_sentence_and_undone(empty_postgres_config) -> None:
    with connect_as_owner(empty_postgres_config) as connection:
        connection.execute("CREATE TABLE user_sessions (theirs TEXT)")
    with pytest.raises(OperatorError, match=r"DuplicateTable \(SQLSTATE 42P07\)"):
        migrate(empty_postgres_config)
    assert pending_as_owner(empty_postgres_config) == ALL[1:]
    with connect_as_owner(empty_postgres_config) as connection:
        connection.execute("DROP TABLE user_sessions")
    assert migrate(empty_postgres_config) == ALL[1:]


def test_an_owner_who_may_not_grant_is_told_what_a_superuser_has_to_do(servers, empty_postgres_config) -> None:
    name = empty_postgres_config.database
    with servers.superuser() as connection:
        connection.execute(f"CREATE ROLE {name}_owner LOGIN PASSWORD 'owner'")
        connection.execute(f"CREATE ROLE {name}_service LOGIN PASSWORD 'service'")
        connection.execute(f"ALTER DATABASE {name} OWNER TO {name}_owner")
    plain = replace(
        empty_postgres_config,
        user=f"{name}_service",
        password=Secret("service"),
        migration_user=f"{name}_owner",
        migration_password=Secret("owner"),
    )
    try:
        with pytest.raises(OperatorError, match=f"GRANT cypher_service TO {name}_service;"):
            migrate(plain)
        with servers.superuser() as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = 'cypher_service'").fetchone() is None:
                connection.execute("CREATE ROLE cypher_service NOLOGIN")
            connection.execute(f"GRANT cypher_service TO {name}_service")
        assert migrate(plain) == []
        assert pending(plain) == []
    finally:
        with servers.superuser() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE {name}_owner")
            connection.execute(f"DROP ROLE {name}_service")


def test_the_names_are_those_that_yoyo_reads() -> None:
    assert names() == sorted(migration.id for migration in read_migrations(str(sqlfiles.migrations_path())))
