"""Where the two halves of a backup lie: new directories of mode 0700 that get their names when they are whole."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cypher.crypto.durable import make_directory
from cypher.errors import OperatorError

CHUNK = 1 << 20
#: Of the keys inside of the database's half, when both are to lie together.
KEYS = "keys"


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Lend a directory to be filled, which is `path` after the block, durably; what fails leaves nothing there.

    Raises OperatorError for a path that is there.
    """
    path = path.absolute()
    with _told(path):
        if os.path.lexists(path):
            raise OperatorError(f"{path} is there already. A backup overwrites nothing: name a new directory.")
        make_directory(path.parent, 0o755)
        unfinished = path.with_name(f".{path.name}.new")
        try:
            unfinished.mkdir(mode=0o700)
        except FileExistsError:
            raise OperatorError(
                f"{unfinished} is there: a backup under this name is being made, or was cut off. If none is, remove it."
            ) from None
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, unfinished, ignore_errors=True)
        yield unfinished
        with _told(path):
            _sync(unfinished)
            unfinished.rename(path)
            _sync(path.parent)
        undo.pop_all()


def require_apart(data: Path, keys: Path) -> None:
    """Refuse two halves of which one lies in the other, or that are the same."""
    one, other = data.absolute().resolve(), keys.absolute().resolve()
    if one == other or one in other.parents or other in one.parents:
        raise OperatorError(
            "The keys would lie with the data, and together they are only as strong as the master password: give "
            "--keys-to another place, on another disk if there is one, or say --together."
        )


def new_file(path: Path) -> int:
    """Make a file of mode 0600; returns its descriptor."""
    with _told(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600, durably."""
    with open(new_file(path), "wb") as opened, _told(path):
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def hash_file(path: Path, report: Callable[[int], None] = lambda done: None) -> tuple[str, int]:
    """Return the SHA-256 of a file, in hexadecimal, and its size; `report` gets the bytes done."""
    digest, done = hashlib.sha256(), 0
    with _told(path, "read"), path.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(done)
    return digest.hexdigest(), done


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a file that has no more than `most` bytes; what is longer is cut."""
    with _told(path, "read"), path.open("rb") as opened:
        return opened.read(most)


@contextmanager
def _told(path: Path, done: str = "made") -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OperatorError(f"{path} cannot be {done} ({exc.strerror or type(exc).__name__}).") from exc


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
