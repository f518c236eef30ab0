"""Writes what happened to the audit trail, in the transaction of the change it belongs to.

What changed nothing is held back for a second and counted, so that a flood of failures is no flood of rows.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from uuid import UUID

import msgspec

from cypher.auth.coalescer import Coalescer
from cypher.auth.events import NOISY
from cypher.auth.happenings import Actor, Counted, Details, Happening, word
from cypher.auth.source import Source
from cypher.clock import Clock, id_at
from cypher.crypto.blind_index import BlindIndex
from cypher.errors import TrailRefused, Unavailable
from cypher.metrics import Metrics
from cypher.postgres import Database
from cypher.postgres_errors import QueryFailed
from cypher.repositories import Repositories
from cypher.repositories.audit import AuditEntry
from cypher.repositories.rows import Row

__all__ = ["Actor", "Audit", "Details", "Happening"]

logger = logging.getLogger("cypher.audit")

SUBJECT = "audit_logs.subject"


class Emergency(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of a change that the trail did not take. No name and no address."""

    action: str
    occurred_at: str
    reason: str | None
    user_id: UUID | None
    session_id: UUID | None
    request_id: str | None


class Audit:
    """The one way into `audit_logs`."""

    def __init__(self, clock: Clock, index: BlindIndex, metrics: Metrics | None = None) -> None:
        self._clock = clock
        self._unrecorded = (metrics or Metrics()).unrecorded
        self._index = index
        self._held = Coalescer()
        self.lost = 0  #: how often something happened that could not be recorded before the process ended

    @property
    def held(self) -> int:
        """How often something happened that is not written yet."""
        return len(self._held)

    async def record(self, repos: Repositories, happening: Happening, source: Source | None) -> None:
        """Insert an entry with `repos`; in a transaction, the change does not happen without it.

        `source` is None for what an operator does at the command line. Raises TrailRefused.
        """
        await self.record_all(repos, (happening,), source)

    async def record_all(self, repos: Repositories, happenings: Sequence[Happening], source: Source | None) -> None:
        """Insert several in one statement."""
        now = self._clock.now()
        await self._insert(repos, [_once(happening, source, now) for happening in happenings])

    @asynccontextmanager
    async def sealed(
        self,
        repos: Repositories,
        happened: Iterable[tuple[Happening, Source]],
        secrets: Mapping[UUID, bytes] | None = None,
    ) -> AsyncIterator[list[Row]]:
        """Lend sealed entries to a block with one statement that makes the change and inserts them.

        `secrets` are those of the people whom it happens to, where the caller has looked. What the statement is refused
        for is taken for the trail's refusal. Raises TrailRefused.
        """
        now = self._clock.now()
        with self._refusal_told():
            entries = [self._entry(_once(happening, source, now)) for happening, source in happened]
            yield await repos.audit.seal_entries(entries, secrets or await _secrets(repos, entries))

    def record_failure(self, happening: Happening, source: Source | None) -> None:
        """Record something that changed nothing, best effort: within a second, together with others like it."""
        self._held.add(happening, source, self._clock.now())

    def record_emergency(self, happening: Happening, source: Source | None) -> None:
        """Record a change that was made although the trail refused it: in the log now, in the trail when it can be."""
        now = self._clock.now()
        told = Emergency(
            action=happening.event.value,
            occurred_at=now.isoformat(),
            reason=happening.reason,
            user_id=happening.user_id,
            session_id=happening.session_id,
            request_id=source.request_id if source else None,
        )
        logger.critical("done without the audit trail: %s", msgspec.json.encode(told).decode())
        self._unrecorded.labels("emergency").inc()
        self._held.add(happening, source, now)

    async def flush(self, db: Database[Repositories]) -> None:
        """Write what was held back; what cannot be written now is held on."""
        taken = self._held.take()
        if not taken:
            return
        written = False
        try:
            async with db.transaction() as repos:
                await self._insert(repos, taken)
            written = True
        except Unavailable:
            return
        finally:
            # Also of a flush that was cancelled: rather written twice than lost.
            if not written:
                self._held.merge(taken)

    async def close(self, db: Database[Repositories]) -> None:
        """Write what was held back, for the last time: what cannot be written now is lost, and counted."""
        await self.flush(db)
        if self.held:
            logger.error("%d failures could not be recorded in the audit trail", self.held)
            self.lost += self.held
            self._unrecorded.labels("lost").inc(self.held)

    async def _insert(self, repos: Repositories, several: Sequence[Counted]) -> None:
        with self._refusal_told():
            entries = [self._entry(counted) for counted in several]
            await repos.audit.insert_entries(entries, await _secrets(repos, entries))

    @contextmanager
    def _refusal_told(self) -> Iterator[None]:
        try:
            yield
        except QueryFailed as exc:
            logger.error("the audit trail takes no entry: %s", exc)
            self._unrecorded.labels("refused").inc()
            raise TrailRefused from exc

    def _entry(self, counted: Counted) -> AuditEntry:
        happening, source, actor = counted.happening, counted.source, counted.actor()
        unknown = happening.username if happening.user_id is None else None
        return AuditEntry(
            # The id tells the moment: of an entry that is gone, its leaf still says of which month it was.
            id=id_at(counted.first_at),
            occurred_at=counted.first_at,
            retention="short" if happening.event in NOISY else "long",
            action=happening.event.value,
            outcome=happening.outcome.value,
            reason=word(happening.reason),
            severity=counted.severity().value,
            actor_type=actor.type.value,
            actor_id=word(actor.id),
            user_id=happening.user_id,
            session_id=happening.session_id,
            request_id=word(source.request_id) if source else None,
            subject_index=self._index.index(unknown, SUBJECT) if unknown else None,
            details=msgspec.json.encode(counted.details()),
        )


def _once(happening: Happening, source: Source | None, now: datetime) -> Counted:
    return Counted(happening=happening, source=source, first_at=now, last_at=now)


async def _secrets(repos: Repositories, entries: Sequence[AuditEntry]) -> Mapping[UUID, bytes]:
    return await repos.audit_subjects.make_secrets({entry.user_id for entry in entries if entry.user_id})
