"""Lets go of what the audit trail need not keep any more: whole months, and then the key that opened their details.

What may go is decided in the database, by the rights of the schema's owner. Leaves and seals stay.
"""

import asyncio
from datetime import timedelta

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, key_event
from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing, Purpose, State
from cypher.crypto.rotation import changed_by
from cypher.crypto.stored import StoredKey, StoredRing
from cypher.maintenance.key_identity import note_ring
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.audit import DroppedMonth

PAUSE_SECONDS = 600.0
#: Of a key that was replaced so long ago no entry can be on its way any more.
SETTLED = timedelta(days=1)


class Retention:
    """Does what is due, however many instances do it at once."""

    def __init__(self, *, db: Database[Repositories], ring: KeyRing, audit: Audit, clock: Clock) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._clock = clock

    async def keep(self) -> list[DroppedMonth]:
        """Drop every month that is over, and destroy the keys that nothing needs any more; returns the months."""
        dropped = []
        while month := await self._drop_one():
            dropped.append(month)
        for key in self._replaced_keys():
            await self._destroy_unused(key)
        return dropped

    async def _drop_one(self) -> DroppedMonth | None:
        async with self._db.transaction() as repos:
            month = await repos.audit.drop_expired_partition()
            if month is not None:
                note = f"{month.retention} {month.month}: {month.entries} entries"
                await self._audit.record(repos, Happening(event=Event.MONTH_DROPPED, note=note, by_itself=True), None)
        return month

    def _replaced_keys(self) -> list[StoredKey]:
        stored, long_ago = self._ring.stored, self._clock.now() - SETTLED
        replaced_at = stored.replacements()
        return [
            key
            for key in stored.keys
            if key.purpose is Purpose.AUDIT_DATA
            and key.state is State.DECRYPT_ONLY
            and key.id in replaced_at
            and replaced_at[key.id] <= long_ago
        ]

    async def _destroy_unused(self, key: StoredKey) -> None:
        async with self._db.connection() as repos:
            if await repos.audit.uses_key(key.id):
                return
        changed = await asyncio.to_thread(changed_by, self._ring, lambda stored: _destroyed(stored, key.id))
        async with self._db.transaction() as repos:
            await note_ring(repos.deployment, self._ring)
            for info in changed:
                event = key_event(info.purpose, info.state)
                note = f"{info.id}: its month is over and no entry is left that it opened"
                await self._audit.record(repos, Happening(event=event, note=note, by_itself=True), None)


def _destroyed(stored: StoredRing, key_id: str) -> StoredRing:
    key = next((key for key in stored.keys if key.id == key_id), None)
    if key is None or key.state is not State.DECRYPT_ONLY:
        return stored
    return stored.with_key(key.destroyed())
