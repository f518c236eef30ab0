"""PostgreSQL 15 and Redis 7 of Debian as a test wants them: unlike those of the wheels they are built with TLS."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import free_ports

BINARIES = Path("/usr/lib/postgresql/15/bin")
SUPERUSER_PASSWORD = "superuser-of-a-test"
START_SECONDS = 30


@contextmanager
def debian_postgres(folder: Path, hba: str, *options: str, files: tuple[Path, ...] = ()) -> Iterator[int]:
    """Run a server on TCP inside `folder` and yield its port; `hba` are its rules, `files` those that it must own.

    Its superuser is `postgres` with SUPERUSER_PASSWORD. Skips where the package is not installed.
    """
    if not (BINARIES / "postgres").exists():
        pytest.skip("there is no PostgreSQL 15 here: apt-get install postgresql-15")
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # PostgreSQL refuses to be root
    place = folder / "postgres"
    place.mkdir()
    password = place / "password"
    password.write_text(SUPERUSER_PASSWORD)
    if user:
        for path in (place, password, *files):
            os.chown(path, user.pw_uid, user.pw_gid)
    data, [port] = place / "data", free_ports(1)
    account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}

    def run(*command: object) -> None:
        words = [str(word) for word in command]
        subprocess.run(words, check=True, cwd=place, stdout=subprocess.DEVNULL, **account)

    run(BINARIES / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}", "-N")
    (data / "pg_hba.conf").write_text(f"{hba}\n")
    listening = f"-p {port} -c listen_addresses=* -c unix_socket_directories= -c fsync=off"
    run(
        BINARIES / "pg_ctl", "start", "-D", data, "-l", place / "log", "-s", "-w", "-o", " ".join((listening, *options))
    )
    try:
        yield port
    finally:
        run(BINARIES / "pg_ctl", "stop", "-D", data, "-s", "-m", "immediate")


@contextmanager
def debian_redis(folder: Path, *options: object) -> Iterator[int]:
    """Run a server with TLS alone and yield its port. Skips where the package is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no Redis here: apt-get install redis-server")
    [port] = free_ports(1)
    words = [program, "--port", "0", "--tls-port", port, "--save", "", "--dir", folder, *options]
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
    try:
        _until(lambda: _listens(port))
        yield port
    finally:
        process.kill()
        process.wait()


def own_address() -> str | None:
    """Return an address of this machine that is not loopback, and so looks like another machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.02)
