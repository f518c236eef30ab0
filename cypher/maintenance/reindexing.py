"""Replaces the key of the blind indexes while logins go on; names cannot be given meanwhile.

The next key is `pending` first, which is when look-ups take both. Its generation is written to the database, and from
then on nobody gives a name: who does so compares generations inside its transaction. So whatever is interrupted, no
name is ever indexed under two keys, and the next run goes on.

Logins go on writing the fingerprints of devices, under the key that is active. They are moved when the new one is:
look-ups take both, under the lock of the person's row, so that no device is written twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.clock import Clock
from cypher.crypto.keyring import Algorithm, Key, KeyRing, Purpose, State
from cypher.crypto.keystore import StoredRing
from cypher.crypto.rotation import activated
from cypher.errors import OperatorError, PostgresUnavailable
from cypher.maintenance.key_identity import note_ring
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.indexed_columns import COLUMNS, IndexedColumn, IndexedRow

#: A process that looks names up has seen the store within 30 s: after this time all of them know the pending key.
SETTLE_SECONDS = 35.0
BATCH = 200
#: Somebody who gives a name is done in a few seconds.
TRIES = 30


class Reindexing:
    """One run."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        audit: Audit,
        clock: Clock,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._clock = clock
        self._settle_seconds = settle_seconds

    async def run(self, report: Callable[[str, int], None] = lambda column, rows: None) -> str:
        """Index everything under a new key; returns its id. `report` gets a column and the rows done in it."""
        await asyncio.to_thread(self._ring.change, self._announced)
        await self._note()
        key = self._pending()
        await asyncio.sleep(self._settle_seconds)
        await self._wait_for_names()
        await self._move([column for column in COLUMNS if column.held], key, report)
        await asyncio.to_thread(self._ring.change, self._activated)
        async with self._db.transaction() as repos:
            await note_ring(repos.deployment, self._ring)
            await self._audit.record(repos, Happening(event=Event.INDEX_ROTATED, note=key.id), None)
        await asyncio.sleep(self._settle_seconds)  # from then on nobody writes under the key before
        await self._move([column for column in COLUMNS if not column.held], key, report)
        return key.id

    def _pending(self) -> Key:
        stored = self._ring.stored.pending(Purpose.INDEX)
        key = self._ring.find(stored.id) if stored else None
        if key is None:
            raise OperatorError("Another run has ended this one: the new index key is active.")
        return key

    async def _note(self) -> None:
        async with self._db.transaction() as repos:
            await note_ring(repos.deployment, self._ring)

    async def _wait_for_names(self) -> None:
        for _ in range(TRIES):
            try:
                async with self._db.transaction() as repos:
                    await repos.deployment.wait_for_names()
                return
            except PostgresUnavailable:
                await asyncio.sleep(0.5)
        raise OperatorError("Somebody has been giving a name for too long. Run it again: it goes on from here.")

    async def _move(self, columns: Sequence[IndexedColumn], key: Key, report: Callable[[str, int], None]) -> None:
        for column in columns:
            while await self._pass(column, key, report):
                pass

    async def _pass(self, column: IndexedColumn, key: Key, report: Callable[[str, int], None]) -> int:
        """Go through the table once; returns how many rows were not as they should be."""
        after, done, wrong = UUID(int=0), 0, 0
        while True:
            rows = await self._batch_at_last(column, key, after)
            stale = sum(row.is_ != row.should_be for row in rows)
            wrong, done = wrong + stale, done + len(rows)
            report(str(column), done)
            if len(rows) < BATCH:
                return wrong
            after = rows[-1].row_id

    async def _batch_at_last(self, column: IndexedColumn, key: Key, after: UUID) -> list[IndexedRow]:
        """Move the next rows, again after a lock that a login held or a server that was not there for a while."""
        for _ in range(TRIES - 1):
            try:
                return await self._batch(column, key, after)
            except PostgresUnavailable:
                await asyncio.sleep(0.5)
        return await self._batch(column, key, after)

    async def _batch(self, column: IndexedColumn, key: Key, after: UUID) -> list[IndexedRow]:
        async with self._db.transaction() as repos:
            rows = await repos.indexed_columns.list_rows(column, key, after, BATCH)
            await repos.indexed_columns.exchange(column, [row for row in rows if row.is_ != row.should_be])
        return rows

    def _announced(self, stored: StoredRing) -> StoredRing:
        if stored.pending(Purpose.INDEX) is not None:
            return stored
        key = self._ring.new_key(Purpose.INDEX, Algorithm.HMAC, state=State.PENDING)
        return replace(stored, keys=(*stored.keys, key))

    def _activated(self, stored: StoredRing) -> StoredRing:
        pending = stored.pending(Purpose.INDEX)
        return stored if pending is None else activated(stored, pending, self._clock.now())
