"""What the audit trail says of a person, for that person."""

from cypher.auth.audit import Audit, Happening
from cypher.auth.entries import EntryPage, read_page, spot_of
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.auth.types import SessionView
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.trail import Spot, TrailFilter


class Activity:
    """The owner's view of the trail."""

    def __init__(self, *, db: Database[Repositories], audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def list_entries(self, session: SessionView, *, cursor: str | None, limit: int, source: Source) -> EntryPage:
        """Return the person's entries, newest first. That they were read is recorded as well, in a second.

        Raises ValidationFailed for a cursor that is none.
        """
        before = spot_of(cursor) if cursor else Spot()
        async with self._db.connection() as repos:
            page = await read_page(repos, TrailFilter(user_id=session.user_id), before, limit)
        read = Happening(event=Event.ACTIVITY_READ, user_id=session.user_id, session_id=session.id)
        self._audit.record_failure(read, source)
        return page
