"""When a key has served long enough, and how the next one takes over without a pause."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cypher.crypto.keyring import KeyRing
from cypher.crypto.keys import CIPHERS, Algorithm, KeyInfo, Purpose, State
from cypher.crypto.keystore import StoredKey, StoredRing
from cypher.errors import OperatorError

#: Purposes whose old keys simply go on opening what they sealed. Any other change of key needs more than this.
ROTATABLE = frozenset({Purpose.DATA, Purpose.CACHE})
#: A refill of the cache seals: counted, a key would be worn out in hours.
COUNTED = frozenset({Purpose.DATA})


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """How long a key serves."""

    age: timedelta
    operations: int


def rotation_due(key: KeyInfo, now: datetime, operations: int, policy: RotationPolicy) -> bool:
    """Tell whether an active key is to be replaced: by age since it became active, or by count of its uses."""
    if key.purpose not in ROTATABLE or key.state is not State.ACTIVE or key.activated_at is None:
        return False
    worn_out = key.purpose in COUNTED and operations >= policy.operations
    return worn_out or now - key.activated_at >= policy.age


def rotate(
    ring: KeyRing, purpose: Purpose, *, algorithm: Algorithm | None = None, replacing: str | None = None
) -> KeyInfo:
    """Make a new active key; the old one only opens from now on. Run it off the loop: it waits for a lock.

    `algorithm` stays what it was when None. With `replacing`, the id of the key that was found due, nothing
    happens when another process has replaced that key meanwhile, so that N which find it due make one new key.
    Raises OperatorError, and has written nothing, when the purpose or the algorithm is not for this.
    """
    if purpose not in ROTATABLE:
        raise OperatorError(f"Keys for {purpose} are not rotated this way; data and cache are.")
    if algorithm is not None and algorithm not in CIPHERS:
        raise OperatorError(f"{algorithm} does not seal; the ciphers are {' and '.join(sorted(CIPHERS))}.")
    made: list[StoredKey] = []

    def turn(stored: StoredRing) -> StoredRing:
        old = stored.active(purpose)
        if replacing is not None and old is not None and old.id != replacing:
            return stored
        made.append(ring.new_key(purpose, algorithm or (old.algorithm if old else Algorithm.FERNET)))
        return replace(stored, keys=(*(_retired(key, purpose) for key in stored.keys), made[0]))

    ring.change(turn)
    return (ring.find(made[0].id) if made else None) or ring.primary(purpose)


def _retired(key: StoredKey, purpose: Purpose) -> StoredKey:
    if key.purpose is purpose and key.state is State.ACTIVE:
        return replace(key, state=State.DECRYPT_ONLY)
    return key
