"""Looks whether a backup is what it was made as, and whether it would do: without a database, with its keys alone."""

from dataclasses import dataclass
from pathlib import Path

from cypher.backup.creating import Progress
from cypher.backup.dumping import require_readable
from cypher.backup.manifest import DUMP, KEYRING, Contents, Manifest, Written, is_authentic, missing_keys, read_manifest
from cypher.backup.places import KEYS, hash_file
from cypher.backup.programs import find_program
from cypher.clock import Clock
from cypher.config import Secret
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore, KeyStore
from cypher.errors import OperatorError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the two halves of a backup are. `store` instead of `keys`: a key store that is in use, and no copy."""

    data: Path
    keys: Path | None = None
    store: KeyStore | None = None

    @property
    def keys_path(self) -> Path:
        """The directory of the copy."""
        return self.keys or self.data / KEYS

    def key_store(self) -> KeyStore:
        """Return the store that must open the dump."""
        return self.store or DirectoryKeyStore(self.keys_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup that holds."""

    source: Source
    contents: Contents
    ring: KeyRing

    @property
    def dump(self) -> Path:
        return self.source.data / DUMP


def verify_backup(source: Source, master_password: Secret, clock: Clock, progress: Progress) -> Backup:
    """Return a backup of which everything was looked at; raises OperatorError for the first thing that is wrong."""
    manifest = read_manifest(source.data)
    contents = manifest.contents
    if set(contents.files) != {DUMP, KEYRING}:
        raise OperatorError(f"The manifest in {source.data} does not name the two files of a backup.")
    _require_as_written(source.data / DUMP, contents.files[DUMP], progress)
    # The keys first, and then their file: which key is missing or damaged says more than that the file is another one.
    ring = _open(source, manifest, master_password, clock)
    if source.store is None:
        _require_as_written(source.keys_path / KEYRING, contents.files[KEYRING], progress)
    require_readable(find_program("pg_restore", at_least=contents.pg_dump), source.data / DUMP)
    return Backup(source=source, contents=contents, ring=ring)


def _require_as_written(file: Path, written: Written, progress: Progress) -> None:
    sha256, size = hash_file(file, progress.begin(f"bytes of {file.name} checked", written.size))
    if size != written.size:
        what = "cut short" if size < written.size else "longer than it was written"
        raise OperatorError(f"{file} is {what}: it has {size} bytes of {written.size}.")
    if sha256 != written.sha256:
        raise OperatorError(f"{file} is not what was written: its SHA-256 is another one.")


def _open(source: Source, manifest: Manifest, master_password: Secret, clock: Clock) -> KeyRing:
    """Open the key store, and see that it has signed the manifest and opens every row of the dump."""
    store, contents = source.key_store(), manifest.contents
    ring = KeyRing.open(store, master_password.reveal(), clock)
    for purpose in Purpose:
        ring.primary(purpose)
    if ring.store_id != contents.store_id or ring.generation < contents.generation:
        raise OperatorError(
            f"The key store at {store.describe()} is not the one of the backup at {source.data}, or an older state "
            "of it."
        )
    if gone := missing_keys(contents.keys, ring):
        raise OperatorError(f"Rows of the dump need keys that the key store at {store.describe()} lacks: {gone}.")
    if not is_authentic(manifest, ring):
        raise OperatorError(f"The manifest in {source.data} was changed: its signature is not by a key of this backup.")
    return ring
