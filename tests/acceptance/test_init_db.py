"""From a PostgreSQL server of the user's and an `.env` to a service that answers: `cypher init-db`, then `serve`."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from cypher.client import CypherClient
from cypher.config import RedisConfig
from tests.acceptance.service import free_port
from tests.conftest import Servers
from tests.processes import LIBRARIES

#: As a password may be: the example's quoting holds.
MASTER_PASSWORD = "it's long enough # and holds what a shell would eat: $HOME"


@pytest.fixture
def database(servers: Servers) -> Iterator[str]:
    """The name of a database and its service's role that are not there yet; the owner may make both."""
    name = f"init_{secrets.token_hex(4)}"
    with servers.superuser() as connection:
        owner = Identifier(servers.postgres.migration_user or "")
        connection.execute(SQL("ALTER ROLE {} CREATEDB").format(owner))
    yield name
    with servers.superuser() as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(f"{name}_role")))


@pytest.fixture
def home(servers: Servers, redis_config: RedisConfig, database: str, tmp_path: Path) -> Path:
    """A folder with an `.env`, and nothing else."""
    postgres = servers.postgres
    settings = {
        "POSTGRES_HOST": ",".join(postgres.hosts),
        "POSTGRES_PORT": str(postgres.port),
        "POSTGRES_USER": f"{database}_role",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(16),
        "POSTGRES_DB": database,
        "POSTGRES_MIGRATION_USER": postgres.migration_user or "",
        "POSTGRES_MIGRATION_PASSWORD": postgres.migration_password.reveal() if postgres.migration_password else "",
        "REDIS_URL": redis_config.url or "",
        "MASTER_ENCRYPTION_PASSWORD": f'"{MASTER_PASSWORD}"',
        "KEY_STORE_PATH": str(tmp_path / "keys"),
        "PORT": str(free_port()),
    }
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return tmp_path


def popen(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "cypher", *arguments],
        cwd=home,
        env={"PATH": os.defpath, "PYTHONPATH": LIBRARIES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def cypher(home: Path, *arguments: str) -> list[str]:
    """Return the lines of a command that succeeds."""
    out, err = (process := popen(home, *arguments)).communicate()
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def refusal(home: Path, *arguments: str) -> str:
    """Return the one sentence of a command that refuses."""
    out, err = (process := popen(home, *arguments)).communicate()
    assert (process.returncode, out) == (1, "")
    assert err.startswith("cypher: ")
    assert err.count("\n") == 1
    return err


def waiting(home: Path) -> str:
    """Return what a service says that is not let in: somebody may be about to see to it."""
    with popen(home, "serve") as service:
        assert service.stderr is not None
        told = service.stderr.readline()
        service.send_signal(signal.SIGTERM)
        out, _ = service.communicate()
    assert (service.returncode, out) == (0, "")
    return told


async def test_step_by_step_each_says_what_it_made_and_what_is_still_missing(home: Path, database: str) -> None:
    assert "--create-db" in refusal(home, "init-db")
    assert "cypher init-db --all" in waiting(home)
    made = [f"created role {database}_role", f"created database {database}"]
    there = f"role {database}_role and database {database} are there"
    assert cypher(home, "init-db", "--create-db") == made
    assert "cypher migrate" in refusal(home, "serve")
    found, *applied = cypher(home, "init-db", "--all")
    assert found == there
    assert applied[0] == "applied 0001_users"
    assert cypher(home, "init-db", "--all") == [there]
    assert cypher(home, "migrate") == ["The schema is up to date."]

    with popen(home, "serve") as service:
        try:
            assert service.stdout is not None
            url = service.stdout.readline().split()[-1]
            async with CypherClient(url) as client:
                await client.register("ada", "correct horse battery staple")
        finally:
            service.send_signal(signal.SIGTERM)
            _, err = service.communicate()
    assert service.returncode == 0, err
    assert f"made the key store at {home / 'keys'}" in err
    assert MASTER_PASSWORD not in err
    assert sorted(os.listdir(home)) == [".env", "keys"]


def test_where_the_owner_is_not_let_in_it_is_said_how_a_superuser_makes_one(home: Path) -> None:
    env = home / ".env"
    env.write_text(re.sub(r"^(POSTGRES_MIGRATION_USER)=.*$", r"\1=nobody_yet", env.read_text(), flags=re.M))
    said = refusal(home, "init-db", "--all")
    assert "does not let nobody_yet in to the database postgres" in said
    assert "CREATE ROLE nobody_yet LOGIN CREATEDB CREATEROLE PASSWORD" in said


def test_all_at_once_makes_role_database_and_schema(home: Path, database: str) -> None:
    role, made, *applied = cypher(home, "init-db", "--all")
    assert (role, made) == (f"created role {database}_role", f"created database {database}")
    assert applied
