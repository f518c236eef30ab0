"""Debian's PostgreSQL: a server, a primary that a standby follows, and PgBouncer in front of one.

`python -m tests.postgres_topologies COMMAND...` runs a command with CYPHER_TEST_POSTGRES naming a server and
CYPHER_TEST_POOLER a PgBouncer before it, in transaction mode.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cypher.config import PostgresConfig
from cypher.migrate import create_database, migrate
from tests.processes import private_folder, until

BINARIES = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER = Path("/usr/sbin/pgbouncer")
#: Both servers of a pair have one port, as POSTGRES_PORT is one, on an address each.
HOST, OTHER_HOST = "127.0.0.1", "127.0.0.2"
#: Who may go through PgBouncer.
ROLES = ("postgres", "cypher_test", "cypher_test_owner")
#: A disk that other tests keep busy must not hold up a command; no test takes the power away.
SETTINGS = {"unix_socket_directories": "", "fsync": "off", "max_connections": "200"}


def require_debian(package: str, program: Path) -> None:
    """Skip where one of Debian's packages is not installed."""
    if not program.exists():
        pytest.skip(f"{program} is missing: apt-get install {package}")


def _as_postgres() -> dict[str, Any]:
    """Return how to start what refuses to be root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _folder_of_postgres(path: Path) -> Path:
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        subprocess.run(["chown", "postgres:", path], check=True)
    return path


def _free_port() -> int:
    """Return a port that is free on every address."""
    with socket.socket() as taken:
        taken.bind(("", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass(frozen=True)
class Postgres:
    """One server and its folder."""

    folder: Path
    host: str
    port: int

    @property
    def admin(self) -> str:
        """A superuser's URL."""
        return f"postgresql://postgres@{self.host}:{self.port}/postgres"

    def start(self) -> None:
        settings = {**SETTINGS, "port": str(self.port), "listen_addresses": self.host}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-m", mode)

    def promote(self) -> None:
        """Make a standby the primary; returns when it is one."""
        self._run("pg_ctl", "promote", "-w")

    def become_standby(self) -> None:
        """Come back, after a stop, as one that only reads."""
        (self.folder / "data" / "standby.signal").touch()
        self.start()

    def initdb(self) -> None:
        self._run("initdb", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-N")

    def copy_from(self, primary: "Postgres") -> None:
        """Become a standby of another one."""
        self._run(
            "pg_basebackup", "-h", primary.host, "-p", str(primary.port), "-U", "postgres", "-R", "-c", "fast", "-N"
        )

    def ask(self, query: str) -> object:
        with psycopg.connect(self.admin, autocommit=True, connect_timeout=2) as connection:
            found = connection.execute(query.encode())
            row = found.fetchone() if found.description else None
            return row[0] if row else None

    def _run(self, program: str, *words: str) -> None:
        command = [str(BINARIES / program), "-D", str(self.folder / "data"), *words]
        # Not by a pipe: the server would inherit it, and nobody would see its end.
        with (self.folder / "programs.log").open("a") as log:
            outcome = subprocess.run(command, stdout=log, stderr=log, cwd="/", check=False, **_as_postgres())
        assert outcome.returncode == 0, (self.folder / "programs.log").read_text()


@contextmanager
def server() -> Iterator[Postgres]:
    """Run one server, with nothing in it."""
    require_debian("postgresql-15", BINARIES / "postgres")
    with private_folder() as folder:
        folder.chmod(0o711)
        made = Postgres(_folder_of_postgres(folder / "one"), HOST, _free_port())
        made.initdb()
        made.start()
        yield made


@dataclass(frozen=True)
class Pair:
    """A primary, and a standby that follows it until it is promoted."""

    primary: Postgres
    standby: Postgres

    @property
    def hosts(self) -> tuple[str, str]:
        return self.primary.host, self.standby.host

    def superuser(self, database: str = "postgres") -> psycopg.Connection:
        """Connect to whichever writes; each statement commits."""
        return psycopg.connect(
            host=",".join(self.hosts),
            port=self.primary.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            target_session_attrs="read-write",
            connect_timeout=2,
        )


@contextmanager
def pair() -> Iterator[Pair]:
    """Run a primary and a standby that has everything which the primary has acknowledged."""
    with server() as primary:
        standby = Postgres(_folder_of_postgres(primary.folder.parent / "other"), OTHER_HOST, primary.port)
        standby.copy_from(primary)
        standby.start()
        # The copy of the settings is made: the standby will wait for nobody when it is the primary.
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.ask("SELECT pg_reload_conf()")
        until(lambda: primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)
        yield Pair(primary, standby)


@dataclass(frozen=True)
class PgBouncer:
    host: str
    port: int


@contextmanager
def pgbouncer(postgres: Postgres, **settings: str) -> Iterator[PgBouncer]:
    """Run PgBouncer in transaction mode before a server."""
    require_debian("pgbouncer", PGBOUNCER)
    port = _free_port()
    folder = _folder_of_postgres(postgres.folder.parent / f"pgbouncer-{port}")
    given = {
        "listen_addr": HOST,
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "pool_mode": "transaction",
        "max_client_conn": "1000",
        **settings,
    }
    (folder / "users").write_text("".join(f'"{role}" ""\n' for role in ROLES))
    lines = ["[databases]", f"* = host={postgres.host} port={postgres.port}", "[pgbouncer]"]
    (folder / "ini").write_text("\n".join(lines + [f"{name} = {value}" for name, value in given.items()]) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)
    with ExitStack() as stack, (folder / "log").open("w") as log:
        process = subprocess.Popen([PGBOUNCER, folder / "ini"], stderr=log, cwd="/", **_as_postgres())
        stack.callback(process.wait)
        stack.callback(process.kill)
        until(lambda: _listens(port))
        yield PgBouncer(HOST, port)


def _listens(port: int) -> bool:
    with socket.create_connection((HOST, port), timeout=1):
        return True


def with_database(config: PostgresConfig, admin: Postgres) -> PostgresConfig:
    """Make an owner's role on a server, and by it the service's role, the database and the schema."""
    admin.ask(f"CREATE ROLE {config.migration_user} LOGIN CREATEROLE CREATEDB")
    create_database(config)
    migrate(config)
    return config


def main(*command: str) -> int:
    try:
        with server() as postgres, pgbouncer(postgres) as pooler:
            named = {"CYPHER_TEST_POSTGRES": postgres.admin, "CYPHER_TEST_POOLER": f"{pooler.host}:{pooler.port}"}
            return subprocess.run(command, env={**os.environ, **named}, check=False).returncode
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
