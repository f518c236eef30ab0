"""What a key is: its purpose, its algorithm, its state. No key is made, read or used here."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cypher.clock import month_after
from cypher.crypto.cell_ciphers import AesGcmCells, CellCipher, FernetCells, NoCells
from cypher.crypto.derive import KeyedMac


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

    PENDING = "pending"  #: known to everybody before it serves: in the JWKS, in look-ups by a blind index
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
CELL_CIPHERS: dict[Algorithm, CellCipher] = {Algorithm.FERNET: FernetCells(), Algorithm.AES_256_GCM: AesGcmCells()}
#: States in which a key is of use: what it made, or is about to make, can be read.
LIVE = frozenset({State.PENDING, State.ACTIVE, State.DECRYPT_ONLY})
#: Keys that are replaced when they have served long enough; the others by hand, or never.
REPLACED_BY_AGE = frozenset({Purpose.DATA, Purpose.CACHE, Purpose.SIGNING})
#: A refill of the cache seals: counted, a key would be worn out in hours.
COUNTED = frozenset({Purpose.DATA})

#: A process may use the key that it last saw active for 30 s; clocks differ a little.
MARGIN = timedelta(minutes=5)
#: Bytes of a server setup of OPAQUE: OPRF seed 64, private key 32, key for unknown clients 32.
OPAQUE_SETUP = 128


def fits(purpose: Purpose, algorithm: Algorithm) -> bool:
    """Tell whether a key of this purpose may have this algorithm."""
    if purpose in SEALING:
        return algorithm in CELL_CIPHERS
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
#: What a new store begins with, whatever seals its data. An entry of the trail stands beside each change, and Fernet
#: alone would take as long as its INSERT.
FIRST_ALGORITHMS = {**FIXED_ALGORITHMS, Purpose.AUDIT_DATA: Algorithm.AES_256_GCM}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """All about a key that may be shown."""

    id: str  #: `<purpose>-<UTC date>-<8 hex>`
    purpose: Purpose
    algorithm: Algorithm
    state: State
    created_at: datetime
    activated_at: datetime | None
    replaced_at: datetime | None = None  #: when the next one took over
    #: What the database knows; None where it was not asked, or knows nothing of such a key.
    operations: int | None = None
    rows_remaining: int | None = None
    next_rotation_at: datetime | None = None  #: by age; an earlier one by operations cannot be foreseen


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What a database knows of a key."""

    operations: int | None = None  #: values sealed, counted by reservation: never too few
    rows: int | None = None  #: values in the database that only this key opens


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """How long a key serves, and how long what it made is met afterwards."""

    age: timedelta
    operations: int
    token_life: timedelta = timedelta(hours=1)  #: the longest life of an access token
    redis_life: timedelta = timedelta(hours=1)  #: the longest life of a sealed value in Redis

    def afterlife(self, purpose: Purpose) -> timedelta:
        """Return for how long after a key was replaced there may be what it has made and nobody can count."""
        lives = {
            Purpose.CACHE: self.redis_life,
            Purpose.SIGNING: self.token_life,
            Purpose.OPAQUE: self.redis_life,  # a registration that was begun under it
        }
        return lives[purpose] + MARGIN if purpose in lives else timedelta(0)

    def next_rotation(self, purpose: Purpose, state: State, activated_at: datetime | None) -> datetime | None:
        """Return when a key is to be replaced; None for one that is not active, or replaced by hand only."""
        if state is not State.ACTIVE or activated_at is None:
            return None
        if purpose is Purpose.AUDIT_DATA:
            return month_after(activated_at)
        return activated_at + self.age if purpose in REPLACED_BY_AGE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(KeyInfo):
    """An unwrapped key. `secret` has 32 bytes (an Ed25519 seed likewise), a server setup of OPAQUE 128."""

    secret: bytes = field(repr=False, compare=False)
    mac: KeyedMac = field(init=False, repr=False, compare=False)  #: for what is derived from it
    cipher: CellCipher = field(init=False, repr=False, compare=False)
    signer: Ed25519PrivateKey | None = field(init=False, repr=False, compare=False)  #: of a key for signing

    def __post_init__(self) -> None:
        object.__setattr__(self, "mac", KeyedMac(self.secret))
        object.__setattr__(self, "cipher", CELL_CIPHERS[self.algorithm] if self.purpose in SEALING else NoCells())
        # To make it takes as long as to sign with it.
        is_signer = self.algorithm is Algorithm.ED25519
        object.__setattr__(self, "signer", Ed25519PrivateKey.from_private_bytes(self.secret) if is_signer else None)


class UnknownKey(LookupError):
    """The key ring holds no key of this id, also after it has looked again."""
