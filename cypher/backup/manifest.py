"""What a backup says of itself, and who says it.

It is signed: whoever can write where a backup lies, but lacks its keys, changes nothing unseen.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from cypher.backup.places import read_file, write_file
from cypher.crypto import base64url
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.signing import is_signed, public_bytes, sign
from cypher.errors import OperatorError
from cypher.maintenance.checkpoints import Checkpoint

MANIFEST = "manifest.json"
DUMP = "database.dump"
KEYRING = "keyring.json"
#: A line for each key and column of a row: far less than this.
LARGEST = 16 * 1024 * 1024

#: How many values need a key, by its id and by `table.column`.
Rows = Mapping[str, Mapping[str, int]]


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file as it was written."""

    sha256: str
    size: int


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is said, of one moment: what the dump holds, and the keys that it needs."""

    made_at: datetime
    cypher: str  #: the version that made it
    pg_dump: int  #: likewise
    schema: tuple[str, ...]  #: migrations
    store_id: UUID
    generation: int
    keys: dict[str, dict[str, int]]
    checkpoint: Checkpoint | None  #: of the audit trail in it; None where nothing was sealed
    files: dict[str, Written]
    version: Literal[1] = 1

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        return b"cypher/v1/backup\x00" + msgspec.json.encode(self)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents, and the signature of the key that also signs the audit trail."""

    contents: Contents
    signing_key_id: str
    signature: str


def sign_manifest(contents: Contents, ring: KeyRing) -> Manifest:
    """Sign with the active key for signatures of the trail."""
    key = ring.primary(Purpose.AUDIT)
    return Manifest(contents=contents, signing_key_id=key.id, signature=base64url.encode(sign(key, contents.message())))


def is_authentic(manifest: Manifest, ring: KeyRing) -> bool:
    """Tell whether a key of this ring has signed it."""
    key = ring.find(manifest.signing_key_id)
    if key is None or key.purpose is not Purpose.AUDIT:
        return False
    try:
        signature = base64url.decode(manifest.signature)
    except ValueError:
        return False
    return is_signed(public_bytes(key), signature, manifest.contents.message())


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write it beside the dump."""
    write_file(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def read_manifest(directory: Path) -> Manifest:
    """Read it; raises OperatorError where there is none that this version reads."""
    file = directory / MANIFEST
    try:
        return msgspec.json.decode(read_file(file, LARGEST), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise OperatorError(
            f"{file} is not what this version of Cypher has written: it was changed, cut short, or is of a later one."
        ) from None


def missing_keys(rows: Rows, ring: KeyRing) -> str:
    """Name the keys that rows need and the ring lacks, with how many values are lost without them."""
    gone = {key_id: sum(counts.values()) for key_id, counts in rows.items() if ring.find(key_id) is None}
    return ", ".join(f"{key_id} ({count} values)" for key_id, count in sorted(gone.items()))
