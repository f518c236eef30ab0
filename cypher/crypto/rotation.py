"""How the next key takes over without a pause: pure changes of a ring, made under its store's lock.

Whatever finds a key due looks again after the lock is held: of N processes one makes the new key.
"""

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from cypher.crypto.keyring import KeyRing
from cypher.crypto.keys import (
    CELL_CIPHERS,
    FIXED_ALGORITHMS,
    MARGIN,
    REPLACED_BY_AGE,
    SEALING,
    Algorithm,
    KeyInfo,
    Purpose,
    RotationPolicy,
    State,
)
from cypher.crypto.keystore import StoredKey, StoredRing
from cypher.operator_errors import KeyPending, Unfit

__all__ = ["RotationPolicy", "activated", "adopt", "changed_by", "keep_by_age", "rotate"]

#: The index has a way of its own (every row is indexed anew); fake records must be the same for ever.
BY_HAND = frozenset(Purpose) - {Purpose.INDEX, Purpose.FAKE}
#: A signing key stands in the JWKS for this time before it signs, so that whoever caches the JWKS has it.
NOTICE = timedelta(hours=1)
#: Keys of which nothing is left when what they have made has expired. What lies in PostgreSQL never does.
ENDED_BY_AGE = frozenset({Purpose.CACHE, Purpose.SIGNING})


def rotate(
    ring: KeyRing,
    purpose: Purpose,
    *,
    algorithm: Algorithm | None = None,
    replacing: str | None = None,
    secret: bytes | None = None,
) -> KeyInfo | None:
    """Make the next key of a purpose; the old one only opens from now on. Run it off the loop: it waits for a lock.

    A signing key becomes `pending`, any other `active`. `algorithm` stays what it was when None; `secret` is for a
    setup of OPAQUE. With `replacing`, the id of the key that was found due, nothing happens, and the answer is None,
    when another process has replaced that key meanwhile.
    Raises Unfit, and has written nothing, when the purpose or the algorithm is not for this, KeyPending when a next
    key is there already.
    """
    _require_rotatable(purpose, algorithm)
    made: list[StoredKey] = []
    now = ring.now()

    def turn(stored: StoredRing) -> StoredRing:
        old = stored.active(purpose)
        if old is None or (replacing is not None and old.id != replacing):
            return stored
        stored = _unscheduled(stored, purpose, now)
        made.append(_next_key(ring, stored, old, algorithm, secret))
        return _added(stored, made[0])

    ring.change(turn)
    return next((info for info in ring.get_key_info() if made and info.id == made[0].id), None)


def adopt(ring: KeyRing, purpose: Purpose, secret: bytes) -> tuple[str, bool]:
    """Keep a key that was made elsewhere, for what was made with it; it never becomes active here.

    Returns its id, and whether it is new to the ring. Run it off the loop: it waits for a lock.
    """
    made: list[StoredKey] = []

    def keep(stored: StoredRing) -> StoredRing:
        # Keys are known by their secrets, which the lock does not show: what another process has added since is looked
        # at first.
        if stored.generation != looked_at:
            return stored
        made.append(ring.new_key(purpose, FIXED_ALGORITHMS[purpose], state=State.DECRYPT_ONLY, secret=secret))
        return replace(stored, keys=(*stored.keys, made[0]))

    while not made:
        ring.reload()
        looked_at = ring.generation
        known = (key.id for key in ring.live(purpose) if hmac.compare_digest(key.secret, secret))
        if (key_id := next(known, None)) is not None:
            return key_id, False
        ring.change(keep)
    return made[0].id, True


def keep_by_age(ring: KeyRing, now: datetime, policy: RotationPolicy) -> tuple[KeyInfo, ...]:
    """Do what age demands: make new keys, activate the pending one, destroy what nothing can need any more.

    Returns the keys that were made or changed by this call. Costs nothing when nothing is due.
    """
    return changed_by(ring, lambda stored: _aged(ring, stored, now, policy))


def changed_by(ring: KeyRing, edit: Callable[[StoredRing], StoredRing]) -> tuple[KeyInfo, ...]:
    """Edit the ring if that changes anything; returns the keys that were made or changed by it.

    The edit is tried on what is known here first, and made under the lock only when there it finds something to do.
    """
    if edit(ring.stored) is ring.stored:
        return ()
    before = {info.id: info.state for info in ring.get_key_info()}
    if not ring.change(edit):
        return ()
    return tuple(info for info in ring.get_key_info() if before.get(info.id) is not info.state)


def _aged(ring: KeyRing, stored: StoredRing, now: datetime, policy: RotationPolicy) -> StoredRing:
    aged, replaced_at = stored, stored.replacements()
    for key in stored.keys:
        if _is_old(key, now, policy) and aged.pending(key.purpose) is None:
            aged = _added(aged, _next_key(ring, aged, key, None, None))
        elif key.purpose is Purpose.SIGNING and key.state is State.PENDING and now - key.created_at >= NOTICE:
            aged = activated(aged, key, now)
        elif key.state is State.DECRYPT_ONLY and _is_forgotten(key, replaced_at.get(key.id), now, policy):
            aged = aged.with_key(key.destroyed())
    return aged


def _is_old(key: StoredKey, now: datetime, policy: RotationPolicy) -> bool:
    due = policy.next_rotation(key.purpose, key.state, key.activated_at)
    return key.purpose in REPLACED_BY_AGE and due is not None and now >= due


def _is_forgotten(key: StoredKey, replaced_at: datetime | None, now: datetime, policy: RotationPolicy) -> bool:
    """Tell whether all that a key has made has expired by itself."""
    if key.purpose not in ENDED_BY_AGE or replaced_at is None:
        return False
    return now >= replaced_at + policy.afterlife(key.purpose)


def _unscheduled(stored: StoredRing, purpose: Purpose, now: datetime) -> StoredRing:
    """Take back the key that was made for the next month: it would bring back the cipher that is being left."""
    pending = stored.pending(purpose)
    if pending is None or pending.activated_at is None:
        return stored
    if now >= pending.activated_at - MARGIN:
        raise KeyPending(f"The key {pending.id} takes over in these minutes. Try again a quarter of an hour later.")
    return stored.with_key(replace(pending.destroyed(), activated_at=None))


def _next_key(
    ring: KeyRing, stored: StoredRing, old: StoredKey, algorithm: Algorithm | None, secret: bytes | None
) -> StoredKey:
    if stored.pending(old.purpose) is not None:
        raise KeyPending(f"A new key for {old.purpose} is pending already; it takes over by itself.")
    state = State.PENDING if old.purpose is Purpose.SIGNING else State.ACTIVE
    return ring.new_key(old.purpose, algorithm or old.algorithm, state=state, secret=secret)


def _added(stored: StoredRing, new: StoredKey) -> StoredRing:
    if new.state is State.ACTIVE:
        stored = _retired(stored, new.purpose)
    return replace(stored, keys=(*stored.keys, new))


def activated(stored: StoredRing, key: StoredKey, now: datetime) -> StoredRing:
    """Return the ring with a pending key active and the one before it retired."""
    retired = _retired(stored, key.purpose)
    return retired.with_key(replace(key, state=State.ACTIVE, activated_at=now))


def _retired(stored: StoredRing, purpose: Purpose) -> StoredRing:
    old = stored.active(purpose)
    return stored.with_key(replace(old, state=State.DECRYPT_ONLY)) if old else stored


def _require_rotatable(purpose: Purpose, algorithm: Algorithm | None) -> None:
    if purpose not in BY_HAND:
        names = ", ".join(sorted(BY_HAND))
        raise Unfit("purpose", f"Keys for {purpose} are not rotated this way; {names} are.")
    if algorithm is not None and (algorithm not in CELL_CIPHERS or purpose not in SEALING):
        ciphers = " and ".join(sorted(CELL_CIPHERS))
        raise Unfit("algorithm", f"{algorithm} does not seal {purpose}; the ciphers are {ciphers}.")
