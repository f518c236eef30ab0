"""The audit trail for operators: query and export. Whoever reads it is in it, before anything is shown."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from cypher.auth import usernames
from cypher.auth.audit import SUBJECT, Actor, Audit, Happening
from cypher.auth.entries import EntryPage, EntryView, read_all, read_page, spot_of
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.crypto.blind_index import BlindIndex
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.trail import Spot, TrailFilter

MOST_ON_A_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailQuery:
    """What an operator asks for, newest first: since a moment, and before another; None for everything.

    With a name, what its owner did and what was done to them; of a name that nobody has, what was tried under it.
    """

    action: str | None = None
    user_id: UUID | None = None
    username: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads: at the command line, of whom nothing is known, or over HTTP with a service token."""

    actor: Actor | None = None
    source: Source | None = None


class AuditTrail:
    """Give it a database whose statements may take their time."""

    def __init__(self, *, db: Database[Repositories], audit: Audit, index: BlindIndex) -> None:
        self._db = db
        self._audit = audit
        self._index = index

    async def list_entries(
        self, query: TrailQuery, reader: Reader, *, cursor: str | None = None, limit: int = 100
    ) -> EntryPage:
        """Return a page of at most 500; raises ValidationFailed for a name or a cursor that is none."""
        query = _canonical(query)
        before = spot_of(cursor) if cursor else _beginning(query)
        wanted = await self._wanted(query)
        await self.record(Event.TRAIL_READ, query, reader, wanted.user_id)
        async with self._db.connection() as repos:
            return await read_page(repos, wanted, before, min(limit, MOST_ON_A_PAGE))

    async def peek(self, limit: int) -> Sequence[EntryView]:
        """Return the newest entries, for who goes on with a reading that is recorded already."""
        async with self._db.connection() as repos:
            return (await read_page(repos, TrailFilter(), Spot(), limit)).items

    async def stream(self, query: TrailQuery, reader: Reader) -> AsyncIterator[EntryView]:
        """Yield all of them, in constant memory; raises ValidationFailed for a name that is none."""
        query = _canonical(query)
        wanted = await self._wanted(query)
        await self.record(Event.TRAIL_EXPORTED, query, reader, wanted.user_id)
        async for entry in read_all(self._db, wanted, _beginning(query)):
            yield entry

    async def record(self, event: Event, query: TrailQuery, reader: Reader, user_id: UUID | None) -> None:
        """Record that the trail is about to be read, and what of it."""
        asked = {"action": query.action, "since": query.since, "until": query.until}
        happening = Happening(
            event=event,
            user_id=user_id,
            username=query.username,
            note=", ".join(f"{name} {value}" for name, value in asked.items() if value) or None,
            actor=reader.actor,
        )
        async with self._db.transaction() as repos:
            await self._audit.record(repos, happening, reader.source)

    async def _wanted(self, query: TrailQuery) -> TrailFilter:
        if query.username is None:
            return TrailFilter(action=query.action, user_id=query.user_id, since=query.since)
        async with self._db.connection() as repos:
            user = await repos.users.find_by_username(query.username)
        if query.user_id not in (None, user.id if user else None):
            return TrailFilter(subject=())  # nobody is both
        if user is not None:
            return TrailFilter(action=query.action, user_id=user.id, since=query.since)
        indexes = await self._index.indexes(query.username, SUBJECT)
        return TrailFilter(action=query.action, subject=indexes, since=query.since)


def _canonical(query: TrailQuery) -> TrailQuery:
    return replace(query, username=usernames.normalise(query.username)) if query.username else query


def _beginning(query: TrailQuery) -> Spot:
    return Spot(query.until) if query.until else Spot()
