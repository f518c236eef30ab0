"""Keys that seal the trail's details: one for each month, made ahead, so that it can go with what it has sealed.

Which key seals an entry is decided by the entry's own time (`RingView.serving`), never by who has learnt of the new
month already: otherwise a month's key would be needed by the next month's entries.
"""

from dataclasses import replace
from datetime import datetime

from cypher.clock import month_after
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keys import KeyInfo, Purpose, State
from cypher.crypto.rotation import changed_by
from cypher.crypto.stored import StoredRing

PURPOSE = Purpose.AUDIT_DATA


def keep_months(ring: KeyRing, now: datetime) -> tuple[KeyInfo, ...]:
    """See to it that the month's key is active and the next month's is made; returns what was made or changed.

    Costs nothing when nothing is due.
    """
    return changed_by(ring, lambda stored: _scheduled(ring, stored, now))


def _scheduled(ring: KeyRing, stored: StoredRing, now: datetime) -> StoredRing:
    pending = stored.pending(PURPOSE)
    if pending is not None and pending.activated_at is not None and pending.activated_at <= now:
        old = stored.active(PURPOSE)
        if old is not None:
            stored = stored.with_key(replace(old, state=State.DECRYPT_ONLY))
        stored, pending = stored.with_key(replace(pending, state=State.ACTIVE)), None
    active = stored.active(PURPOSE)
    if pending is not None or active is None:
        return stored
    made = ring.new_key(PURPOSE, active.algorithm, state=State.PENDING)
    return replace(stored, keys=(*stored.keys, replace(made, activated_at=month_after(now))))
