"""Locks on files (flock): the kernel frees them with the last process that holds them, also after a kill."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: Path) -> Iterator[int]:
    """Hold `file` alone, however long that takes to get; yields the lock's descriptor."""
    with open(_open(file)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


@contextmanager
def taken(file: Path) -> Iterator[int | None]:
    """Hold `file` if nobody does; yields the lock's descriptor, or None while another process holds it."""
    with open(_open(file)) as lock:
        yield lock.fileno() if _try(lock.fileno()) else None


def is_held(file: Path) -> bool:
    with taken(file) as lock:
        return lock is None


def share(file: Path) -> int:
    """Hold `file` together with others; returns the descriptor."""
    descriptor = _open(file)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_last(descriptor: int) -> bool:
    """Say whether nobody shares the file with `descriptor` any more. If others do, its own share may be gone."""
    return _try(descriptor)


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT, 0o600)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
