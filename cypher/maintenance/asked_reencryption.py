"""Re-encryption that an operator asks a running service for, beside the one that nobody has to ask for.

How far it has come is asked of the database alone, so that every instance and the command line answer the same.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.errors import Unavailable
from cypher.maintenance.background import reencrypted
from cypher.maintenance.reencryption import Reencryption
from cypher.postgres import Database
from cypher.repositories import Repositories

logger = logging.getLogger("cypher.maintenance")


class ReencryptionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How many values are still to be moved, and whether somebody moves them."""

    active_key: str  #: the data key that they move to
    remaining: int  #: values under older ones
    is_running: bool  #: on some instance; a `cypher keys reencrypt` at a terminal is not seen


class AskedReencryption:
    """One run at a time over all instances; to ask again meanwhile starts none."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        audit: Audit,
        make: Callable[[int | None], Reencryption],
    ) -> None:
        """`db` is one whose statements may take their time; `make` makes a run of so many values a second."""
        self._db = db
        self._ring = ring
        self._audit = audit
        self._make = make
        self._run: asyncio.Task[None] | None = None

    async def status(self) -> ReencryptionStatus:
        """Count what is left. Reads whole tables."""
        await asyncio.to_thread(self._ring.reload)
        async with self._db.connection() as repos:
            is_running = await repos.deployment.is_reencrypting()
        return ReencryptionStatus(
            active_key=self._ring.primary(Purpose.DATA).id,
            remaining=await self._make(None).remaining(),
            is_running=is_running,
        )

    async def start(self, rate: int | None, source: Source) -> None:
        """Begin a run of at most `rate` values a second (None: as fast as it goes), unless one is under way.

        Returns when it is recorded; raises PostgresUnavailable, and has begun none.
        """
        if self._run is not None and not self._run.done():
            return
        begun = asyncio.Event()
        run = self._run = asyncio.create_task(self._hold_and_move(rate, source, begun))
        waiting = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait((run, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if run.done():
            run.result()

    async def stop(self) -> None:
        """Leave the rest to the next run."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    async def _hold_and_move(self, rate: int | None, source: Source, begun: asyncio.Event) -> None:
        try:
            async with self._db.transaction() as repos:
                if not await repos.deployment.try_asked_reencryption():
                    return
                note = f"{rate or 'any number of'} values a second"
                await self._record(Happening(event=Event.REENCRYPTION_STARTED, note=note), source)
                begun.set()
                await self._move(rate, source)
        except Unavailable:
            if not begun.is_set():
                raise
            logger.error("re-encryption was cut off; asked for again, it goes on from where it is")

    async def _move(self, rate: int | None, source: Source) -> None:
        done = await self._make(rate).run()
        await self._record(reencrypted(done, self._ring.primary(Purpose.DATA).id, by_itself=False), source)

    async def _record(self, happening: Happening, source: Source) -> None:
        # On a connection of its own: what is written under the lock would not be seen before the end.
        async with self._db.transaction() as repos:
            await self._audit.record(repos, happening, source)
