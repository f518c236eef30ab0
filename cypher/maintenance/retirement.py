"""Destroys a key when it is proven that nothing needs it any more, and never a moment before.

The proof: nothing hangs on it; it was taken from sealing for good; still nothing hangs on it. Whoever sealed with it
before did so with a ring confirmed in the last 30 s, and inside a transaction, of which PostgreSQL ends one that does
nothing for 5 s, or for a single statement that has no effect when 5 s have passed (`end_logins`). After the delay
no write under this key can be on its way, not from a process that was stopped either.
"""

import asyncio
from datetime import datetime, timedelta

import msgspec

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import key_event
from cypher.auth.source import Source
from cypher.clock import Clock
from cypher.crypto.keyring import KeyInfo, KeyRing, Purpose, RotationPolicy, State
from cypher.crypto.keystore import StoredRing
from cypher.maintenance.key_identity import note_ring
from cypher.operator_errors import Absent, KeyInUse
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.indexed_columns import COLUMNS

#: Keys that nothing outlives but what expires, or what is counted. The trail's keys stay as long as the trail does, and
#: the first setup of OPAQUE and the key for fake records answer for names that nobody has, the same for ever.
DESTROYABLE = frozenset({Purpose.DATA, Purpose.INDEX, Purpose.CACHE, Purpose.SIGNING, Purpose.OPAQUE})


class Destroyed(msgspec.Struct, frozen=True, kw_only=True):
    """The proof, as the audit trail keeps it."""

    key_id: str
    rows_before: int
    rows_after: int


class Retirement:
    """Takes keys out of the world."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        audit: Audit,
        clock: Clock,
        delay: timedelta,
        policy: RotationPolicy,
    ) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._clock = clock
        self._delay = delay
        self._policy = policy

    async def destroy(self, key_id: str, source: Source | None = None) -> Destroyed:
        """Destroy a key; raises KeyInUse, and has destroyed nothing, while anything may need it, Absent without one."""
        await asyncio.to_thread(self._ring.reload)
        info = self._find(key_id)
        self._require_served_its_time(info)
        before = await self._count(key_id)
        if info.purpose is Purpose.DATA:
            async with self._db.connection() as repos:
                await repos.deployment.retire_key(key_id)
        after = await self._count(key_id)
        async with self._db.transaction() as repos:
            # Before it is done: a crash in between leaves an entry too many, never a key that is gone without a proof.
            note = f"{key_id}: {before} rows, taken from sealing, {after} rows, destroyed"
            await self._audit.record(
                repos, Happening(event=key_event(info.purpose, State.DESTROYED), note=note), source
            )
        await asyncio.to_thread(self._ring.change, lambda stored: _destroyed(stored, key_id))
        async with self._db.transaction() as repos:
            await note_ring(repos.deployment, self._ring)
        return Destroyed(key_id=key_id, rows_before=before, rows_after=after)

    def _find(self, key_id: str) -> KeyInfo:
        infos = {info.id: info for info in self._ring.get_key_info()}
        if key_id not in infos:
            raise Absent(f"There is no key {key_id!r}. See: cypher keys status")
        info = infos[key_id]
        if info.state is State.DESTROYED:
            raise Absent(f"{key_id} is destroyed already.")
        if info.purpose not in DESTROYABLE:
            raise KeyInUse(f"A key for {info.purpose} is never destroyed: what it has made goes on needing it.")
        if info.purpose is Purpose.OPAQUE and info.id == self._ring.first(Purpose.OPAQUE).id:
            raise KeyInUse(f"{key_id} is the first setup: it answers for names that nobody has. It stays.")
        return info

    def _require_served_its_time(self, info: KeyInfo) -> None:
        if info.state is not State.DECRYPT_ONLY or info.replaced_at is None:
            raise KeyInUse(f"{info.id} is {info.state}. Replace it first: cypher keys rotate --purpose {info.purpose}")
        afterlife = self._policy.afterlife(info.purpose)
        earliest = info.replaced_at + max(self._delay, afterlife)
        if self._clock.now() < earliest:
            why = "what it has made is gone then" if afterlife > self._delay else "KEY_DESTROY_DELAY_SECONDS"
            raise KeyInUse(
                f"{info.id} was replaced at {_shown(info.replaced_at)}; it can be destroyed from "
                f"{_shown(earliest)} on ({why})."
            )

    async def _count(self, key_id: str) -> int:
        async with self._db.connection() as repos:
            rows = (await repos.sealed_columns.count_rows()).get(key_id, {}) | await self._count_indexes(repos, key_id)
        if rows:
            counts = ", ".join(f"{count} in {place}" for place, count in rows.items())
            raise KeyInUse(
                f"{key_id} is needed: {counts}. It was not destroyed. Values leave a data key by `cypher keys "
                "reencrypt`, people leave a setup of OPAQUE when they change their password, names leave an index "
                "key by `cypher keys rotate-index`."
            )
        return sum(rows.values())

    async def _count_indexes(self, repos: Repositories, key_id: str) -> dict[str, int]:
        """Count what is found by a key alone. No column says so: every value is opened and indexed."""
        key = self._ring.find(key_id)
        if key is None or key.purpose is not Purpose.INDEX:
            return {}
        counts = {f"{column}_index": await repos.indexed_columns.count_under(column, key) for column in COLUMNS}
        return {place: count for place, count in counts.items() if count}


def _destroyed(stored: StoredRing, key_id: str) -> StoredRing:
    key = next(key for key in stored.keys if key.id == key_id)
    if key.state is not State.DECRYPT_ONLY:
        raise KeyInUse(f"{key_id} is {key.state} by now; it was not destroyed.")
    return stored.with_key(key.destroyed())


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
