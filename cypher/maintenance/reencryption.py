"""Moves every sealed value to the active data key, beside live traffic and beside others that do the same.

A batch is a transaction: read, open and seal again, exchange where the old ciphertext still stands. It is begun again
from nothing at any time: what is under the active key already is not looked at.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cypher.clock import Clock
from cypher.crypto.codec import FieldCodec, Sealed
from cypher.crypto.keyring import Key, KeyRing, Purpose
from cypher.errors import FieldDoesNotOpen, KeysUnavailable, Unavailable
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.sealed_columns import COLUMNS, RowId, SealedCell, SealedColumn

logger = logging.getLogger("cypher.maintenance")

#: Rows of one batch are locked together, for the few milliseconds of an UPDATE and its COMMIT. Where these take longer,
#: on a slow disk or a busy server, the next batch is smaller: nobody is to wait for a tenth of a second.
BATCH = 500
LOCKED_SECONDS = 0.05
#: After this many values, about a millisecond, the requests of the same process have their turn.
SLICE = 25
#: How often a batch is tried again that PostgreSQL or the key store could not take, with a second between.
TRIES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come."""

    column: str = ""  #: the one at hand
    moved: int = 0  #: values
    unopened: int = 0  #: values that do not open and stay as they are
    locked_seconds: float = 0.0  #: the longest that a batch has kept others from its rows


class Reencryption:
    """One run. `rate` is in values a second; None means as fast as it goes."""

    def __init__(
        self, *, db: Database[Repositories], ring: KeyRing, codec: FieldCodec, clock: Clock, rate: int | None = None
    ) -> None:
        self._db = db
        self._ring = ring
        self._codec = codec
        self._clock = clock
        self._rate = rate
        self._progress = Progress()
        self._size = BATCH
        self._noted = ""

    async def remaining(self) -> int:
        """Count the values that are not under the active data key."""
        active = self._ring.primary(Purpose.DATA).id
        async with self._db.connection() as repos:
            counts = await repos.sealed_columns.count_rows()
        old = (info.id for info in self._ring.get_key_info() if info.purpose is Purpose.DATA and info.id != active)
        return sum(sum(counts.get(key_id, {}).values()) for key_id in old)

    async def run(self, report: Callable[[Progress], None] = lambda progress: None) -> Progress:
        """Move everything; returns what was done. Again from the front when another key became active meanwhile.

        What others still seal under the key before, for half a minute after a rotation, is for the next run.
        """
        self._progress = Progress()
        swept_for = None
        while swept_for != self._ring.primary(Purpose.DATA).id:
            swept_for = self._ring.primary(Purpose.DATA).id
            self._progress = replace(self._progress, unopened=0)
            for column in COLUMNS:
                await self._sweep(column, report)
        return self._progress

    async def _sweep(self, column: SealedColumn, report: Callable[[Progress], None]) -> None:
        after: RowId | None = column.before_all
        while after is not None:
            began = self._clock.monotonic()
            before = self._progress.moved
            after = await self._batch_at_last(column, after)
            self._progress = replace(self._progress, column=str(column))
            report(self._progress)
            if self._rate is not None:
                due = (self._progress.moved - before) / self._rate
                await asyncio.sleep(max(0.0, due - (self._clock.monotonic() - began)))

    async def _batch_at_last(self, column: SealedColumn, after: RowId) -> RowId | None:
        """Move a batch, again after a lock, a server or a key store that was not there for a while."""
        for _ in range(TRIES - 1):
            try:
                return await self._batch(column, after)
            except Unavailable:
                await asyncio.sleep(1)
                await asyncio.to_thread(self._ring.reload)
        return await self._batch(column, after)

    async def _batch(self, column: SealedColumn, after: RowId) -> RowId | None:
        """Move the next rows; returns the last row that was looked at, None at the end of the table."""
        size = self._size
        await self._note(self._ring.primary(Purpose.DATA))
        async with self._db.transaction() as repos:
            key = await self._ring.confirmed(Purpose.DATA)
            cells = await repos.sealed_columns.list_stale(column, key.id, after, size)
            await self._learn_keys(cells)
            old, new = await self._reseal(cells, key)
            locked_at = self._clock.monotonic()
            moved = await self._exchange(repos, column, key, old, new) if old else 0
        locked = self._clock.monotonic() - locked_at
        self._size = next_size(size, locked)
        done = self._progress
        self._progress = replace(
            done,
            moved=done.moved + moved,
            unopened=done.unopened + len(cells) - len(old),
            locked_seconds=max(done.locked_seconds, locked),
        )
        return cells[-1].row_id if len(cells) == size else None

    async def _note(self, key: Key) -> None:
        """See to it that the database knows the key, so that it can be held."""
        if key.id != self._noted:
            async with self._db.connection() as repos:
                await repos.deployment.insert_data_key(key.id)
            self._noted = key.id

    async def _exchange(
        self, repos: Repositories, column: SealedColumn, key: Key, old: Sequence[SealedCell], new: Sequence[Sealed]
    ) -> int:
        # To find the rows may have taken minutes, in which the key was replaced and, empty, destroyed.
        if not await repos.deployment.hold_data_key(key.id):
            raise KeysUnavailable
        return await repos.sealed_columns.exchange(column, key.id, old, new)

    async def _learn_keys(self, cells: Sequence[SealedCell]) -> None:
        for key_id in sorted(await self._codec.learn_keys([each.sealed for each in cells])):
            logger.error("the key %r, under which values are sealed, is not in the key store", key_id)

    async def _reseal(self, cells: Sequence[SealedCell], key: Key) -> tuple[list[SealedCell], list[Sealed]]:
        old, new = [], []
        for number, each in enumerate(cells):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            try:
                new.append(self._codec.reseal(each.sealed, each.cell, key))
            except FieldDoesNotOpen as failure:
                logger.error("%s does not open and stays under %r", failure.where, each.sealed.key_id)
            else:
                old.append(each)
        return old, new


def next_size(size: int, locked_seconds: float) -> int:
    """Return how many rows the next batch may have, after one of `size` has kept others waiting for so long."""
    if locked_seconds > LOCKED_SECONDS:
        return max(1, size // 2)
    return min(BATCH, size * 2) if locked_seconds < LOCKED_SECONDS / 4 else size
