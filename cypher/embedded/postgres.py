"""The embedded PostgreSQL: made, started, stopped. Its tables are the migrations' matter."""

import shutil
from dataclasses import replace

from cypher.config import PostgresConfig
from cypher.embedded.folders import POSTGRES_SOCKET
from cypher.embedded.locks import locked
from cypher.embedded.place import Place
from cypher.embedded.wheels import postgres_binaries, postgres_libraries
from cypher.errors import OperatorError

SERVICE_ROLE = "cypher"
OWNER_ROLE = "cypher_owner"
DATABASE = "cypher"
NAME = "postgres"


def completed(config: PostgresConfig, place: Place) -> PostgresConfig:
    """Fill in how to reach the database: through the folder of its socket, without a password."""
    return replace(
        config,
        hosts=(str(place.sockets),),
        user=SERVICE_ROLE,
        database=DATABASE,
        migration_user=OWNER_ROLE,
    )


def start(place: Place, *, max_connections: int = 200) -> None:
    """Start it unless it runs, after making what a first start finds missing."""
    binaries, data = postgres_binaries(), place.path / NAME
    place.open_to(binaries.parent, *postgres_libraries())
    if not data.exists():
        _make_cluster(place)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(place.sockets),
        "unix_socket_permissions": "0700",
        "port": "5432",
        "max_connections": str(max_connections),
    }
    place.start(
        NAME,
        [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())],
        answers=lambda: place.run(binaries / "pg_isready", "-h", str(place.sockets), "-q").returncode == 0,
        leftovers=[
            data / "postmaster.pid",
            place.sockets / POSTGRES_SOCKET,
            place.sockets / f"{POSTGRES_SOCKET}.lock",
        ],
    )
    if not (place.path / "prepared").exists():
        _make_database(place)


def ask_to_stop(place: Place) -> None:
    """Send its users away and let it write everything down."""
    if place.is_running(NAME):
        place.run(postgres_binaries() / "pg_ctl", "stop", "-D", str(place.path / NAME), "-m", "fast", "-W")


def _make_cluster(place: Place) -> None:
    """Make the data directory, under another name until it is whole."""
    options = ["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth-local=trust", "--auth-host=reject"]
    # When a start is killed its initdb goes on, and would meddle with the next one's: that one waits for its end.
    with locked(place.path / "initdb.alive") as lock:
        shutil.rmtree(place.path / "postgres.new", ignore_errors=True)
        unfinished = place.make("postgres.new")
        outcome = place.run(postgres_binaries() / "initdb", "-D", str(unfinished), *options, lock=lock)
    if outcome.returncode != 0:
        raise OperatorError(f"initdb under {place.path} failed: {outcome.stderr.strip()}")
    unfinished.rename(place.path / NAME)


def _make_database(place: Place) -> None:
    """Make the two roles and the database; what an earlier start made before it was cut off stays."""
    for tool, *arguments in (
        ("createuser", "--createrole", OWNER_ROLE),
        ("createuser", SERVICE_ROLE),
        ("createdb", f"--owner={OWNER_ROLE}", DATABASE),
    ):
        outcome = place.run(postgres_binaries() / tool, "-h", str(place.sockets), "-U", "postgres", "-w", *arguments)
        if outcome.returncode != 0 and "already exists" not in outcome.stderr:
            raise OperatorError(f"{tool} under {place.path} failed: {outcome.stderr.strip()}")
    (place.path / "prepared").touch(mode=0o600)
