"""Processes that outlive a call: where they live, which of them still do, and a Python for another user."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from tests.memory import in_memory

ROOT = Path(__file__).parents[1]
#: Cypher and its libraries for a Python without them.
LIBRARIES = f"{ROOT}:{sysconfig.get_path('purelib')}"


def processes(path: Path) -> list[int]:
    """Return the living processes that name `path` in their command line."""
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in listing.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 3 and str(path) in row[2] and not row[1].startswith("Z")]


def python_of_others(uid: int, module: str) -> str:
    """Return a Python that user `uid` may run and that imports `module` and the servers; skip where there is none."""
    environment = {"PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1"}
    check = f"import {module}, cypher.embedded as e; e.postgres_binaries(); e.valkey_server()"
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            options = {"user": uid, "group": uid, "extra_groups": [], "env": environment, "cwd": "/"}
            if subprocess.run([python, "-c", check], capture_output=True, **options).returncode == 0:
                return python
    pytest.skip(f"no Python here that another user may run and that imports {module}")


def end_with(path: Path, number: int) -> None:
    """Send a signal to all of them."""
    for pid in processes(path):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def as_in_a_terminal() -> None:
    """Hear, as a new process, what whoever runs the tests may have ignored: in the background, or by `nohup`."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def private_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """Lend a folder with a short name, outside of pytest's own, whose modes pytest resets; kill who lives in it."""
    folder = Path(tempfile.mkdtemp(prefix="ce-", dir=None if on_disk else in_memory()))
    try:
        yield folder
    finally:
        end_with(folder, signal.SIGKILL)
        shutil.rmtree(folder)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (RedisError, OSError):
            pass
        assert time.monotonic() < end, "the servers take too long"
        time.sleep(0.02)
