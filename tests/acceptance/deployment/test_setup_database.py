"""`setup_database.sh` as somebody runs it who has copied `.env.example`: on real servers, with and without Docker.

Docker alone is played: a program of this name that opens the ports of docker-compose.yml, behind which the servers of
this run stand.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from cypher.config import load
from tests.acceptance.service import free_port
from tests.acceptance.test_init_db import database as database
from tests.conftest import Servers
from tests.processes import LIBRARIES, end_with

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / ".env.example").read_text()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here: apt-get install openssl"),
]

#: `docker compose …`: says what it was asked, and leaves what carries bytes between a port and a socket behind.
DOCKER = """#!{python}
import os, subprocess, sys
with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1:3] != ["compose", "up"]:
    print("2.26.1")
    sys.exit()
quiet = subprocess.DEVNULL  # else whoever reads our output waits for theirs
for port, socket in {forwarded!r}:
    subprocess.Popen([{python!r}, {carrier!r}, str(port), socket], start_new_session=True, stdout=quiet, stderr=quiet)
"""
CARRIER = """
import asyncio, sys

async def pour(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def carry(reader, writer):
    there, back = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(pour(reader, back), pour(there, writer))

async def main():
    server = await asyncio.start_server(carry, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A checkout, as far as the script looks at it, in a folder with a name that shells stumble over."""
    home = tmp_path / "it's here"
    (home / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "setup_database.sh", home)
    python = home / ".venv" / "bin" / "python"
    python.symlink_to(sys.executable)
    cypher = home / ".venv" / "bin" / "cypher"
    cypher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cypher "$@"\n')
    cypher.chmod(0o755)
    (tmp_path / "bin").mkdir()
    return home


def set_up(home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = f"{home.parent / 'bin'}:{os.defpath}"
    return subprocess.run(
        ["./setup_database.sh"],
        cwd=home,
        env={"PATH": path, "PYTHONPATH": LIBRARIES, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def without_docker(home: Path) -> None:
    for name in ("docker", "docker-compose"):
        file = home.parent / "bin" / name
        file.write_text("#!/bin/sh\nexit 1\n")
        file.chmod(0o755)


@pytest.fixture
def docker(home: Path, servers: Servers) -> Iterator[tuple[int, int]]:
    """Play Docker; yields the ports on which PostgreSQL and Redis will be."""
    host, url = servers.postgres.hosts[0], servers.redis.url or ""
    if not host.startswith("/") or not url.startswith("unix://"):
        pytest.skip("Docker is played with the sockets of embedded servers")
    ports = (free_port(), free_port())
    sockets = (f"{host}/.s.PGSQL.{servers.postgres.port}", url.removeprefix("unix://"))
    folder = home.parent
    (folder / "carrier.py").write_text(CARRIER)
    program = folder / "bin" / "docker"
    program.write_text(
        DOCKER.format(
            python=sys.executable,
            log=str(folder / "docker.log"),
            carrier=str(folder / "carrier.py"),
            forwarded=[*zip(ports, sockets, strict=True)],
        )
    )
    program.chmod(0o755)
    yield ports
    end_with(folder, signal.SIGTERM)


def test_from_the_example_to_a_database_with_docker(home: Path, docker, servers: Servers, database: str) -> None:
    postgres_port, redis_port = docker
    env = EXAMPLE.replace("=5432", f"={postgres_port}").replace("=6379", f"={redis_port}")
    env = env.replace("=cypher_user", f"={database}_role").replace("=cypher_db", f"={database}")
    (home / ".env").write_text(env)
    # The owner that the script names is there, as the image of PostgreSQL makes it.
    assert servers.postgres.migration_user == "cypher_owner"

    first = set_up(home)
    assert (first.returncode, first.stderr) == (0, ""), first.stderr
    asked = (home.parent / "docker.log").read_text().splitlines()
    assert asked[-1] == "compose up -d postgres redis"
    assert f"created role {database}_role" in first.stdout
    assert "applied 0001_users" in first.stdout
    assert ".venv/bin/cypher serve" in first.stdout

    written = (home / ".env").read_text()
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600
    config = load({}, home / ".env")
    assert config.keys.path == home / ".keys"
    assert config.postgres.migration_user == "cypher_owner"
    secrets = [config.postgres.password, config.postgres.migration_password, config.redis.password]
    drawn = {secret.reveal() for secret in (*secrets, config.keys.master_password) if secret}
    assert len(drawn) == 4
    assert all(len(secret) >= 44 for secret in drawn)
    assert not any(secret in first.stdout for secret in drawn)

    again = set_up(home)
    assert (again.returncode, again.stderr) == (0, "")
    assert f"role {database}_role and database {database} are there" in again.stdout
    assert (home / ".env").read_text() == written


def test_servers_that_are_named_are_used_as_they_are(home: Path, servers: Servers, database: str) -> None:
    without_docker(home)
    postgres = servers.postgres
    password = postgres.migration_password.reveal() if postgres.migration_password else ""
    with servers.superuser() as connection:
        connection.execute(SQL("ALTER ROLE {} CREATEDB").format(Identifier(postgres.migration_user or "")))
    (home / ".env").write_text(
        f"POSTGRES_HOST={','.join(postgres.hosts)}\nPOSTGRES_PORT={postgres.port}\nPOSTGRES_USER={database}_role\n"
        f"POSTGRES_PASSWORD=of-our-own\nPOSTGRES_DB={database}\n"
        f"POSTGRES_MIGRATION_USER={postgres.migration_user}\nPOSTGRES_MIGRATION_PASSWORD={password}\n"
        f"REDIS_URL={servers.redis.url}\nMASTER_ENCRYPTION_PASSWORD=your_super_secure_master_password\n"
        f"KEY_STORE_PATH={home}/kept\n"
    )
    done = set_up(home)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert f"created database {database}" in done.stdout
    config = load({}, home / ".env")
    assert config.keys.path == home / "kept"
    assert config.postgres.password is not None
    assert config.postgres.password.reveal() == "of-our-own"


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (None, "There is no .env."),
        ("REDIS_HOST=localhost\n", "POSTGRES_HOST is not set."),
        (
            "POSTGRES_HOST=localhost\nPOSTGRES_PORT={free}\nREDIS_HOST=localhost\nREDIS_PORT={free}\n",
            "for postgres redis",
        ),
        ("POSTGRES_HOST=db.invalid\nPOSTGRES_PASSWORD=change_this_password\n", "POSTGRES_PASSWORD in .env is still"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_changed(home: Path, env: str | None, sentence: str) -> None:
    without_docker(home)
    if env is not None:
        env = env.format(free=free_port())
        (home / ".env").write_text(env)
    done = set_up(home)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert env is None or (home / ".env").read_text() == env


def test_a_compose_that_cannot_read_the_file_is_none(home: Path) -> None:
    without_docker(home)
    old = home.parent / "bin" / "docker-compose"
    old.write_text("#!/bin/sh\n[ $1 = version ] && echo 1.29.2\n")
    (home / ".env").write_text(env := f"POSTGRES_HOST=localhost\nPOSTGRES_PORT={free_port()}\nREDIS_HOST=db.invalid\n")
    done = set_up(home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no Docker Compose 2" in done.stderr
    assert (home / ".env").read_text() == env
