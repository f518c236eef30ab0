"""The proof of the audit trail as operators ask for it: verify, export, checkpoint. Each is in the trail itself."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.trail import AuditTrail, Reader, TrailQuery
from cypher.auth.visible import line_of
from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing
from cypher.errors import Unavailable
from cypher.maintenance.checkpoints import Checkpoint, Checkpoints
from cypher.maintenance.exporting import TrailExport
from cypher.maintenance.verification import Verification, Verified
from cypher.postgres import Database
from cypher.repositories import Repositories

logger = logging.getLogger("cypher.audit")


class TrailProof:
    """Give it a database whose statements may take their time; `keep` is for how many days each class is kept."""

    def __init__(
        self, *, db: Database[Repositories], ring: KeyRing, clock: Clock, audit: Audit, keep: Mapping[str, int]
    ) -> None:
        self._db = db
        self._ring = ring
        self._clock = clock
        self._audit = audit
        self._keep = keep

    async def total(self) -> int:
        """Return how many sealed entries a verification looks at."""
        async with self._db.connection() as repos:
            return await repos.audit_seals.count_leaves()

    async def verify(
        self,
        reader: Reader,
        *,
        checkpoints: Iterable[Checkpoint] = (),
        report: Callable[[int], None] = lambda done: None,
    ) -> Verified:
        """Prove the trail, or name the first place at which it does not hold; either is recorded, if it can be."""
        run = Verification(db=self._db, ring=self._ring, clock=self._clock, keep=self._keep, checkpoints=checkpoints)
        done = await run.run(report)
        if done.finding:
            event, outcome, note = Event.TRAIL_BROKEN, Outcome.FAILURE, done.finding.sentence
        else:
            event, outcome, note = Event.TRAIL_VERIFIED, Outcome.SUCCESS, f"{done.seals} seals"
        try:
            await self._record(Happening(event=event, outcome=outcome, note=note, actor=reader.actor), reader)
        except Unavailable:
            logger.error("the audit trail was verified, and takes no entry that says so")
        return done

    async def export(self, reader: Reader) -> AsyncIterator[bytes]:
        """Yield the whole trail as lines of JSON, recorded before the first."""
        await self._record(Happening(event=Event.TRAIL_EXPORTED, note="all of it", actor=reader.actor), reader)
        async for line in TrailExport(db=self._db, ring=self._ring, clock=self._clock, keep=self._keep).lines():
            yield line

    async def checkpoint(self) -> Checkpoint | None:
        """Return a checkpoint of the trail as it is now; None where nothing is sealed yet."""
        async with self._db.connection() as repos:
            last = await repos.audit_seals.get_last_seal()
        if last is None:
            return None
        return await Checkpoints(self._ring, self._clock, None).make(last.seal.statement)

    async def _record(self, happening: Happening, reader: Reader) -> None:
        async with self._db.transaction() as repos:
            await self._audit.record(repos, happening, reader.source)


def export_lines(trail: AuditTrail, proof: TrailProof, query: TrailQuery, reader: Reader) -> AsyncIterator[bytes]:
    """Return lines of JSON: the whole trail with what proves it, or the entries of a filter. Recorded before the first.

    Raises ValidationFailed, at the first line, for a name that is none.
    """
    return proof.export(reader) if query == TrailQuery() else _filtered(trail, query, reader)


async def _filtered(trail: AuditTrail, query: TrailQuery, reader: Reader) -> AsyncIterator[bytes]:
    async for entry in trail.stream(query, reader):
        yield line_of(entry)
