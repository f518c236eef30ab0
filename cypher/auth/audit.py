"""Writes what happened to the audit trail, in the transaction of the change it belongs to."""

from dataclasses import dataclass
from uuid import UUID

import msgspec

from cypher.auth.events import ALARMING, NOISY, Event, Outcome
from cypher.auth.source import Source
from cypher.clock import Clock, new_id
from cypher.crypto.blind_index import BlindIndex
from cypher.errors import Unavailable
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.audit import AuditEntry

SUBJECT = "audit_logs.subject"


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What identifies a person in an entry; sealed in the row."""

    address: str | None = None
    user_agent: str | None = None
    username: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event before it is an entry."""

    event: Event
    outcome: Outcome = Outcome.SUCCESS
    reason: str | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None
    username: str | None = None  #: for events whose subject is only a name; indexed and sealed
    note: str | None = None
    by_itself: bool = False  #: nobody asked for it: the service did what was due


class Audit:
    """The one way into `audit_logs`."""

    def __init__(self, clock: Clock, index: BlindIndex) -> None:
        self._clock = clock
        self._index = index
        self.lost = 0  #: failures that could not be recorded since the start

    async def record(self, repos: Repositories, happening: Happening, source: Source | None) -> None:
        """Insert an entry with `repos`; in a transaction, the change does not happen without it.

        `source` is None for what an operator does at the command line.
        """
        await repos.audit.insert_entry(self._entry(happening, source))

    async def record_failure(self, db: Database[Repositories], happening: Happening, source: Source) -> None:
        """Record something that changed nothing, best effort: what cannot be written is counted."""
        try:
            async with db.connection() as repos:
                await self.record(repos, happening, source)
        except Unavailable:
            self.lost += 1

    def _entry(self, happening: Happening, source: Source | None) -> AuditEntry:
        event, name = happening.event, happening.username
        actor_type, actor_id = _actor(happening, source)
        details = Details(
            address=source.address if source else None,
            user_agent=source.user_agent if source else None,
            username=name,
            note=happening.note,
        )
        return AuditEntry(
            id=new_id(self._clock),
            occurred_at=self._clock.now(),
            retention="short" if event in NOISY else "long",
            action=event.value,
            outcome=happening.outcome.value,
            reason=happening.reason,
            severity="alert" if event in ALARMING else "info",
            actor_type=actor_type,
            actor_id=actor_id,
            user_id=happening.user_id,
            session_id=happening.session_id,
            request_id=source.request_id if source else None,
            subject_index=self._index.index(name, SUBJECT) if name else None,
            details=msgspec.json.encode(details),
        )


def _actor(happening: Happening, source: Source | None) -> tuple[str, str | None]:
    """Return who acts, and the id of the person or of the operator's service token."""
    if source is None:
        return ("service" if happening.by_itself else "operator"), None
    if source.operator is not None:
        return "operator", str(source.operator)
    return "user", str(happening.user_id) if happening.user_id else None
