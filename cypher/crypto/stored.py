"""The key ring as it is kept, in memory and as the JSON of `keyring.json`. Every key in it is wrapped.

Reading is strict: whatever this version would not have written is corrupt, never repaired.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from cypher.clock import Moment
from cypher.crypto import base64url
from cypher.crypto.keys import Algorithm, Purpose, State, fits

VERSION = 1
KDF = "pbkdf2-hmac-sha256"
SALT = 16
#: More than ten million rounds take seconds: a forged file must not hang the start.
MOST_ROUNDS = 10_000_000


class UnknownVersion(ValueError):
    """The file is of a version that is not read here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kdf:
    """How the key-encryption key comes from the master password."""

    name: str = KDF
    salt: bytes  #: 16 random bytes
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A wrapped key. `wrapped` is a Fernet token, and empty when the key is destroyed."""

    id: str
    purpose: Purpose
    algorithm: Algorithm
    state: State
    created_at: datetime
    activated_at: datetime | None
    wrapped: str

    def destroyed(self) -> "StoredKey":
        """Return what is left of the key: that it was there."""
        return replace(self, state=State.DESTROYED, wrapped="")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRing:
    """All that a key store keeps. `generation` grows by one with every write."""

    version: int = VERSION
    store_id: UUID
    generation: int
    epoch: str
    kdf: Kdf
    check: str  #: the store's id, sealed under the key-encryption key
    keys: tuple[StoredKey, ...]

    def active(self, purpose: Purpose) -> StoredKey | None:
        """Return the key that new things of this purpose are made with."""
        return next((key for key in self.keys if key.purpose is purpose and key.state is State.ACTIVE), None)

    def pending(self, purpose: Purpose) -> StoredKey | None:
        """Return the key that is about to become active."""
        return next((key for key in self.keys if key.purpose is purpose and key.state is State.PENDING), None)

    def replacements(self) -> dict[str, datetime]:
        """Return, by key id, when the next key of its purpose took over: keys stand in the order they were made in."""
        found: dict[str, datetime] = {}
        later: dict[Purpose, datetime] = {}
        for key in reversed(self.keys):
            if key.purpose in later:
                found[key.id] = later[key.purpose]
            elif key.state is State.DECRYPT_ONLY and key.activated_at is None:
                found[key.id] = key.created_at  # it came from elsewhere, and was never active here
            if key.activated_at is not None and key.state is not State.PENDING:
                later[key.purpose] = key.activated_at
        return found

    def with_key(self, changed: StoredKey) -> "StoredRing":
        """Return the ring with one key put in the place of the one of its id."""
        return replace(self, keys=tuple(changed if key.id == changed.id else key for key in self.keys))


Token = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_=-]*\Z")]


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Version(msgspec.Struct):
    version: int


class _Kdf(_Strict):
    name: Annotated[str, msgspec.Meta(pattern=rf"^{KDF}\Z")]
    salt: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{22}\Z")]
    rounds: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROUNDS)]


class _Key(_Strict):
    # No colon: in Redis the key id stands before one.
    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,255}\Z")]
    purpose: Purpose
    algorithm: Algorithm
    state: State
    created_at: Moment
    activated_at: Moment | None
    wrapped: Token


class _Ring(_Strict):
    version: int
    store_id: UUID
    generation: Annotated[int, msgspec.Meta(ge=1)]
    epoch: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,32}\Z")]
    kdf: _Kdf
    check: Token
    keys: list[_Key]


def encode_ring(ring: StoredRing) -> bytes:
    """Return the JSON of `keyring.json`."""
    kdf = _Kdf(name=ring.kdf.name, salt=base64url.encode(ring.kdf.salt), rounds=ring.kdf.rounds)
    keys = [
        _Key(
            id=key.id,
            purpose=key.purpose,
            algorithm=key.algorithm,
            state=key.state,
            created_at=key.created_at,
            activated_at=key.activated_at,
            wrapped=key.wrapped,
        )
        for key in ring.keys
    ]
    file = _Ring(ring.version, ring.store_id, ring.generation, ring.epoch, kdf, ring.check, keys)
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def decode_ring(data: bytes) -> StoredRing:
    """Read the JSON of `keyring.json`; raise ValueError, and UnknownVersion for that of another version."""
    version = msgspec.json.decode(data, type=_Version).version
    if version != VERSION:
        raise UnknownVersion(version)
    file = msgspec.json.decode(data, type=_Ring)
    keys = tuple(_key(key) for key in file.keys)
    _require_consistent(keys)
    return StoredRing(
        store_id=file.store_id,
        generation=file.generation,
        epoch=file.epoch,
        kdf=Kdf(salt=base64url.decode(file.kdf.salt), rounds=file.kdf.rounds),
        check=file.check,
        keys=keys,
    )


def _key(key: _Key) -> StoredKey:
    if not fits(key.purpose, key.algorithm):
        raise ValueError("a key has an algorithm that is not for its purpose")
    if (key.state is State.DESTROYED) != (key.wrapped == ""):
        raise ValueError("a key is neither there nor destroyed")
    if key.state is State.ACTIVE and key.activated_at is None:
        raise ValueError("an active key was never activated")
    return StoredKey(
        id=key.id,
        purpose=key.purpose,
        algorithm=key.algorithm,
        state=key.state,
        created_at=key.created_at,
        activated_at=key.activated_at,
        wrapped=key.wrapped,
    )


def _require_consistent(keys: Sequence[StoredKey]) -> None:
    if len({key.id for key in keys}) != len(keys):
        raise ValueError("two keys have one id")
    for state in (State.ACTIVE, State.PENDING):
        found = Counter(key.purpose for key in keys if key.state is state)
        if any(count > 1 for count in found.values()):
            raise ValueError(f"two keys of one purpose are {state}")
