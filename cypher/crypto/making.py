"""Makes new keys and new rings. The only place where the randomness of keys comes from."""

import secrets
import string
from dataclasses import replace
from datetime import UTC, datetime

from cypher.clock import Clock, new_id
from cypher.crypto.keys import FIRST_ALGORITHMS, OPAQUE_SETUP, Algorithm, Purpose, State, fits, secret_length
from cypher.crypto.stored import MOST_ROUNDS, SALT, Kdf, StoredKey, StoredRing
from cypher.crypto.wrapping import KeyEncryptionKey

EPOCH_LETTERS = string.ascii_lowercase + string.digits


def new_epoch() -> str:
    """Draw what the names in Redis begin with."""
    return "".join(secrets.choice(EPOCH_LETTERS) for _ in range(8))


def new_kdf(rounds: int) -> Kdf:
    """Return a key derivation with a new salt."""
    if not 1 <= rounds <= MOST_ROUNDS:
        raise ValueError(f"rounds must be 1 to {MOST_ROUNDS}")
    return Kdf(salt=secrets.token_bytes(SALT), rounds=rounds)


def make_ring(
    kek: KeyEncryptionKey, kdf: Kdf, clock: Clock, *, opaque_setup: bytes, data_algorithm: Algorithm
) -> StoredRing:
    """Return a ring of generation 1 with an active key of every purpose."""
    now, store_id = clock.now(), new_id(clock)
    given = {Purpose.OPAQUE: opaque_setup}
    keys = tuple(
        make_key(
            kek,
            now,
            purpose,
            FIRST_ALGORITHMS.get(purpose, data_algorithm),
            given.get(purpose),
        )
        for purpose in Purpose
    )
    return StoredRing(
        store_id=store_id,
        generation=1,
        epoch=new_epoch(),
        kdf=kdf,
        check=kek.make_check(store_id),
        keys=keys,
    )


def rewrap_ring(stored: StoredRing, old: KeyEncryptionKey, new: KeyEncryptionKey, kdf: Kdf) -> StoredRing:
    """Return the ring with every key that is left in it wrapped by `new`, which comes from `kdf`."""
    keys = tuple(
        replace(key, wrapped=new.wrap(key.purpose, key.id, old.unwrap(key.purpose, key.id, key.wrapped)))
        if key.state is not State.DESTROYED
        else key
        for key in stored.keys
    )
    return replace(stored, kdf=kdf, check=new.make_check(stored.store_id), keys=keys)


def make_key(
    kek: KeyEncryptionKey,
    now: datetime,
    purpose: Purpose,
    algorithm: Algorithm,
    secret: bytes | None = None,
    *,
    state: State = State.ACTIVE,
) -> StoredKey:
    """Return a key, wrapped: `secret`, or 32 random bytes. Raises ValueError where these do not fit."""
    if secret is None and purpose is not Purpose.OPAQUE:
        secret = secrets.token_bytes(secret_length(purpose))
    if secret is None or len(secret) != secret_length(purpose):
        raise ValueError(f"a setup of OPAQUE has {OPAQUE_SETUP} bytes, any other key 32")
    if not fits(purpose, algorithm):
        raise ValueError(f"{algorithm} is not for {purpose}")
    key_id = f"{purpose}-{now.astimezone(UTC):%Y%m%d}-{secrets.token_hex(4)}"
    return StoredKey(
        id=key_id,
        purpose=purpose,
        algorithm=algorithm,
        state=state,
        created_at=now,
        activated_at=now if state is State.ACTIVE else None,
        wrapped=kek.wrap(purpose, key_id, secret),
    )
