"""Re-encryption without being asked: after a rotation one instance at a time moves the old rows, slowly."""

from collections.abc import Callable
from datetime import timedelta

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.maintenance.reencryption import Progress, Reencryption
from cypher.postgres import Database
from cypher.repositories import Repositories

PAUSE_SECONDS = 60.0
#: Values a second: a few per cent of one core, a million in half an hour.
RATE = 500
#: For this time after a rotation others may go on sealing under the key before.
SETTLED = timedelta(seconds=60)


def reencrypted(done: Progress, key_id: str, *, by_itself: bool) -> Happening:
    """Return what a sweep that has come to its end is recorded as."""
    note = f"{done.moved} values moved to {key_id}, {done.unopened} did not open"
    return Happening(event=Event.REENCRYPTION_COMPLETED, note=note, by_itself=by_itself)


class BackgroundReencryption:
    """Sweeps once for each data key that became active while an older one is still there."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        audit: Audit,
        clock: Clock,
        make: Callable[[], Reencryption],
    ) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._clock = clock
        self._make = make
        self._swept_for = ""

    async def sweep(self) -> Progress | None:
        """Move what is left under older keys; None when there is nothing to do, or another instance is at it."""
        active, *older = self._ring.live(Purpose.DATA)
        settled = active.activated_at is not None and self._clock.now() >= active.activated_at + SETTLED
        if not older or not settled or active.id == self._swept_for:
            return None
        async with self._db.transaction() as repos:
            if not await repos.deployment.try_reencryption():
                return None
            done = await self._make().run()
            if done.moved:
                await self._audit.record(repos, reencrypted(done, active.id, by_itself=True), None)
        if self._ring.primary(Purpose.DATA).id == active.id:
            self._swept_for = active.id
        return done
