"""Where the wrapped keys are kept: what every store promises, and the store in a directory.

A store never knows a password or an unwrapped key.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from cypher.crypto.durable import make_directory, remove_file, replace_file
from cypher.crypto.stored import Kdf, StoredKey, StoredRing, UnknownVersion, decode_ring, encode_ring
from cypher.errors import KeyStoreRefused

__all__ = ["DirectoryKeyStore", "Kdf", "KeyStore", "StoredKey", "StoredRing"]

FILE = "keyring.json"
#: A key takes about 400 bytes.
LARGEST = 4 * 1024 * 1024
#: Who holds the lock needs milliseconds; after this time it is stuck.
LOCK_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.005


class KeyStore(Protocol):
    """Keeps one key ring. Every method raises KeyStoreRefused where the store cannot be used as it is."""

    def read(self) -> StoredRing | None:
        """Return the ring, or None when there is none yet. Needs no lock: a write is seen whole or not at all."""
        ...

    def stamp(self) -> Hashable:
        """Return something cheap that differs after every write; equal stamps, equal rings."""
        ...

    def prepare(self) -> None:
        """Make the place for a store that does not exist yet."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Keep every other process and thread from writing. Not re-entrant."""
        ...

    def write(self, ring: StoredRing) -> None:
        """Replace the ring, durably, in one step. Only while `lock` is held."""
        ...

    def remove(self) -> None:
        """Take the ring away, durably, after it was moved elsewhere. Only while `lock` is held."""
        ...

    def describe(self) -> str:
        """Name the store to the operator."""
        ...


def ring_in(data: bytes, what: str) -> StoredRing:
    """Read the JSON of `keyring.json`; raise KeyStoreRefused, which begins with `what`, for any other."""
    try:
        return decode_ring(data)
    except UnknownVersion as exc:
        raise KeyStoreRefused(
            f"{what} is of format version {exc}; this version of Cypher reads 1. "
            "Start the version of Cypher that wrote it. Nothing was changed."
        ) from None
    except (ValueError, RecursionError):
        raise KeyStoreRefused(
            f"{what} is corrupt or truncated. Bring it back from its backup. Nothing was changed."
        ) from None


def lock_is_taken(where: str) -> KeyStoreRefused:
    """Return the error of a lock that does not come free."""
    return KeyStoreRefused(
        f"Another process has held the lock of the key store at {where} for {LOCK_SECONDS:.0f} s. "
        "Look for a Cypher that hangs. Nothing was changed."
    )


class DirectoryKeyStore:
    """`keyring.json` (mode 0600) in a directory of its own (mode 0700)."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._file = self._path / FILE
        self._locked: int | None = None

    def read(self) -> StoredRing | None:
        with _refusing(f"The key store at {self._path} cannot be read by this user"):
            try:
                data = self._read_file()
            except FileNotFoundError:
                return None
        return ring_in(data, f"The key store's file {self._file}")

    def stamp(self) -> Hashable:
        try:
            found = os.stat(self._file, follow_symlinks=False)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def prepare(self) -> None:
        with _refusing(f"The key store's directory {self._path} cannot be made"):
            make_directory(self._path, 0o700)

    @contextmanager
    def lock(self) -> Iterator[None]:
        with _refusing(f"The key store at {self._path} cannot be locked"):
            directory = self._lock_directory()
        try:
            self._locked = directory
            yield
        finally:
            self._locked = None
            os.close(directory)

    def write(self, ring: StoredRing) -> None:
        if self._locked is None:
            raise RuntimeError("the key store is written without its lock")
        with _refusing(f"The key store at {self._path} cannot be written"):
            replace_file(self._locked, FILE, encode_ring(ring))

    def remove(self) -> None:
        if self._locked is None:
            raise RuntimeError("the key store is written without its lock")
        with _refusing(f"The key store at {self._path} cannot be removed"):
            remove_file(self._locked, FILE)

    def describe(self) -> str:
        return str(self._path)

    def _read_file(self) -> bytes:
        directory = self._open_directory()
        try:
            # Neither a link, which leads out of the directory, nor a pipe, which would hang the start.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(FILE, flags, dir_fd=directory)
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise KeyStoreRefused(f"{self._file} is a symbolic link. Put the file itself there.") from None
            raise
        finally:
            os.close(directory)
        with open(file, "rb") as opened:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
                raise KeyStoreRefused(f"{self._file} is not the file of a key store. Nothing was changed.")
            _require_private(self._file, found, 0o600)
            return opened.read(LARGEST)

    def _open_directory(self) -> int:
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _require_private(self._path, os.fstat(directory), 0o700)
        except KeyStoreRefused:
            os.close(directory)
            raise
        return directory

    def _lock_directory(self) -> int:
        """Return a descriptor of the directory that holds its lock; closing it sets the lock free."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            directory = self._open_directory()
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A directory that was moved away while we waited is not the store any more.
                if os.path.samestat(os.fstat(directory), os.stat(self._path)):
                    return directory
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(directory)
                    raise lock_is_taken(self.describe()) from None
            except OSError:
                os.close(directory)
                raise
            os.close(directory)
            time.sleep(LOCK_POLL_SECONDS)


@contextmanager
def _refusing(sentence: str) -> Iterator[None]:
    """Turn what the system refuses into a sentence for the operator."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise KeyStoreRefused(f"{sentence} ({reason}). See to its owner, its mode and its disk.") from exc


def _require_private(path: Path, found: os.stat_result, mode: int) -> None:
    if found.st_mode & 0o077:
        raise KeyStoreRefused(
            f"{path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}). "
            f"Run: chmod {mode:o} {path}. Nothing was changed."
        )
    # Its owner could open it to others at any time. Root comes here as the operator.
    if os.geteuid() not in (found.st_uid, 0):
        raise KeyStoreRefused(f"{path} belongs to another user. Run: chown {os.geteuid()} {path}. Nothing was changed.")
