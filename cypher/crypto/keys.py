"""What a key is: its purpose, its algorithm, its state. No key is made, read or used here."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Purpose(StrEnum):
    """What a key is for; it serves nothing else."""

    DATA = "data"  #: seals fields of the database
    INDEX = "index"  #: keys the blind indexes
    CACHE = "cache"  #: seals values in Redis
    AUDIT_DATA = "audit_data"  #: seals the details of audit entries
    AUDIT_MAC = "audit_mac"  #: keys the hashes of audit entries
    AUDIT = "audit"  #: signs seals of the audit trail
    SIGNING = "signing"  #: signs access tokens
    OPAQUE = "opaque"  #: the server setup of OPAQUE; losing it loses every password
    FAKE = "fake"  #: makes the records of names that nobody has


class State(StrEnum):
    """Where a key is in its life. It goes through these in order and never back."""

    PENDING = "pending"
    ACTIVE = "active"  #: one for each purpose
    DECRYPT_ONLY = "decrypt_only"
    DESTROYED = "destroyed"


class Algorithm(StrEnum):
    """What is computed with a key."""

    FERNET = "fernet"
    AES_256_GCM = "aes-256-gcm"
    HMAC = "hmac"
    ED25519 = "ed25519"
    OPAQUE = "opaque"


#: Keys that seal; the others must never meet a cipher.
SEALING = frozenset({Purpose.DATA, Purpose.CACHE, Purpose.AUDIT_DATA})
CIPHERS = frozenset({Algorithm.FERNET, Algorithm.AES_256_GCM})
#: States in which a key is still of use: what it made can be read.
LIVE = frozenset({State.ACTIVE, State.DECRYPT_ONLY})

#: Bytes of a server setup of OPAQUE: OPRF seed 64, private key 32, key for unknown clients 32.
OPAQUE_SETUP = 128


def fits(purpose: Purpose, algorithm: Algorithm) -> bool:
    """Tell whether a key of this purpose may have this algorithm."""
    if purpose in SEALING:
        return algorithm in CIPHERS
    return algorithm is FIXED_ALGORITHMS[purpose]


def secret_length(purpose: Purpose) -> int:
    """Return how many bytes a key of this purpose has."""
    return OPAQUE_SETUP if purpose is Purpose.OPAQUE else 32


FIXED_ALGORITHMS = {
    Purpose.INDEX: Algorithm.HMAC,
    Purpose.AUDIT_MAC: Algorithm.HMAC,
    Purpose.AUDIT: Algorithm.ED25519,
    Purpose.SIGNING: Algorithm.ED25519,
    Purpose.OPAQUE: Algorithm.OPAQUE,
    Purpose.FAKE: Algorithm.HMAC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """All about a key that may be shown."""

    id: str  #: `<purpose>-<UTC date>-<8 hex>`
    purpose: Purpose
    algorithm: Algorithm
    state: State
    created_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(KeyInfo):
    """An unwrapped key. `secret` has 32 bytes (an Ed25519 seed likewise), a server setup of OPAQUE 128."""

    secret: bytes = field(repr=False, compare=False)


class UnknownKey(LookupError):
    """The key ring holds no key of this id, also after it has looked again."""
