"""The folder in which the workers of one service share what they count.

It goes with the parent, and what a parent that was killed has left goes at the next start.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from cypher.clock import Clock

PREFIX = "cypher-metrics-"
#: One that was made a moment ago may not be locked yet.
YOUNG = timedelta(minutes=1)


@contextmanager
def metrics_folder(clock: Clock) -> Iterator[Path]:
    """Lend a new one under TMPDIR, locked for as long as this process or one that it forks lives."""
    remove_abandoned(clock)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def remove_abandoned(clock: Clock) -> None:
    """Remove those of this user that nobody holds."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else's, no folder, or gone by now
            _remove_abandoned(path, (clock.now() - YOUNG).timestamp())


def _remove_abandoned(path: Path, changed_before: float) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        about = os.fstat(folder)
        if about.st_uid == os.geteuid() and about.st_mtime < changed_before:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    finally:
        os.close(folder)
