"""The end of sessions: of many of one person at once, and whatever becomes of the audit trail.

A thief must not stay in because a disk or a right is missing, so that this is the one change which may be made without
its entry. What is put in its place: a line in the log at once, with ids only, and the entry itself as soon as the trail
takes entries again. Tombstones in Redis come after the commit, by whoever asked.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.errors import KeysUnavailable, TrailRefused
from cypher.postgres import Database
from cypher.repositories import Repositories

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What was ended, and what must be buried after the commit."""

    count: int
    to_bury: frozenset[UUID]  #: more than were ended: also those that ended a moment ago


NOTHING_ENDED = Ended(count=0, to_bury=frozenset())


async def end_sessions(
    repos: Repositories, user_id: UUID, *, keep: UUID | None, reason: str, device_id: UUID | None = None
) -> Ended:
    """End a person's living sessions, all or all but one, or those of a device. Hold the person's row before.

    Those that ended a moment ago are to be buried again: whoever asks once more, since Redis was away the first time,
    completes what was left undone.
    """
    ended = await repos.sessions.revoke_sessions(user_id, keep=keep, reason=reason, device_id=device_id)
    recently = await repos.sessions.list_recently_revoked(user_id)
    return Ended(count=len(ended), to_bury=frozenset({*ended, *recently}))


async def erase(repos: Repositories, user_id: UUID) -> Ended:
    """Delete a person and all that is kept of them. Hold the person's row before.

    Whatever must go with a person beyond what foreign keys see to goes here.
    """
    ended = await end_sessions(repos, user_id, keep=None, reason="deleted")
    await repos.accounts.delete_person(user_id)
    await repos.audit_subjects.erase(user_id)
    return ended


class Recorder(Protocol):
    """What records in a transaction."""

    async def record(self, repos: Repositories, happening: Happening, source: Source | None) -> None: ...


async def end_session(
    repos: Repositories, recorder: Recorder, session_id: UUID, user_id: UUID, reason: str, source: Source
) -> bool:
    """End one session of this person and record it; True when this call ended it."""
    ended = await repos.sessions.revoke_session(session_id, user_id, reason)
    if ended:
        happening = Happening(event=Event.SESSION_ENDED, user_id=user_id, session_id=session_id, reason=reason)
        await recorder.record(repos, happening, source)
    return ended


class _Kept:
    """Keeps what a transaction would have recorded, until it is committed."""

    def __init__(self) -> None:
        self.kept: list[tuple[Happening, Source | None]] = []

    async def record(self, repos: Repositories, happening: Happening, source: Source | None) -> None:
        self.kept.append((happening, source))


class Endings:
    """Runs a transaction that ends sessions and does nothing else."""

    def __init__(self, *, db: Database[Repositories], audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def run(self, end: Callable[[Repositories, Recorder], Awaitable[T]]) -> T:
        """Run it with the trail; where that takes no entry, once more without."""
        try:
            async with self._db.transaction() as repos:
                return await end(repos, self._audit)
        except (TrailRefused, KeysUnavailable):
            recorder = _Kept()
            async with self._db.transaction() as repos:
                done = await end(repos, recorder)
        for happening, source in recorder.kept:
            self._audit.record_emergency(happening, source)
        return done
