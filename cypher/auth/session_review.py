"""What an operator sees and does about sessions: list somebody's, end somebody's, end many at once by a filter.

Addresses and user agents are opened for their owner only.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from cypher.auth.audit import Audit, Happening
from cypher.auth.endings import end_sessions
from cypher.auth.events import Event
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.source import Source
from cypher.auth.types import SessionView
from cypher.errors import NotFound
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.sessions import SessionFilter

FIRST = UUID(int=0)
REASON = "operator"
#: Sessions, or people, of one transaction: each holds its rows for some milliseconds.
BATCH = 500


class ReviewedSession(SessionView, frozen=True, kw_only=True):
    """A session as operators see it."""

    last_seen_at: datetime


class ReviewedSessions(msgspec.Struct, frozen=True, kw_only=True):
    """The newest hundred of somebody."""

    items: list[ReviewedSession]


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions ended, or would have."""

    revoked: int
    dry_run: bool


class SessionReview:
    """List, end, end many. `source` is the operator's request; None at the command line."""

    def __init__(self, *, db: Database[Repositories], audit: Audit, living: LivingSessions) -> None:
        self._db = db
        self._audit = audit
        self._living = living

    async def list_sessions(self, user_id: UUID) -> ReviewedSessions:
        """Return the newest hundred living sessions of somebody; raises NotFound."""
        async with self._db.connection() as repos:
            if await repos.accounts.get_person(user_id) is None:
                raise NotFound
            found = await repos.sessions.list_live_sessions(user_id)
        items = [
            ReviewedSession(**msgspec.structs.asdict(view_of(session)), last_seen_at=session.last_seen_at)
            for session in found
        ]
        return ReviewedSessions(items=items)

    async def revoke_of(self, user_id: UUID, *, source: Source | None = None) -> Revocation:
        """End every session of somebody, and what they began; raises NotFound."""
        async with self._db.transaction() as repos:
            if not await repos.users.set_sessions_revoked(user_id):
                raise NotFound
            ended = await end_sessions(repos, user_id, keep=None, reason=REASON)
            revoked = Happening(event=Event.SESSIONS_REVOKED, user_id=user_id, note=f"{ended.count} of all")
            await self._audit.record(repos, revoked, source)
        await self._living.bury(ended.to_bury)
        return Revocation(revoked=ended.count, dry_run=False)

    async def revoke_matching(
        self,
        *,
        user_id: UUID | None = None,
        aal: int | None = None,
        created_before: datetime | None = None,
        seen_before: datetime | None = None,
        dry_run: bool = False,
        source: Source | None = None,
    ) -> Revocation:
        """End the sessions that match, of everybody or of somebody; with `dry_run` only count them.

        In batches, beside live traffic; when it is broken off, run it again, and it goes on. Where all sessions are
        meant, what was begun before cannot end either.
        """
        which = SessionFilter(user_id=user_id, aal=aal, created_before=created_before, seen_before=seen_before)
        if dry_run:
            async with self._db.connection() as repos:
                return Revocation(revoked=await repos.sessions.count_matching(which), dry_run=True)
        if user_id is not None and which == SessionFilter(user_id=user_id):
            return await self.revoke_of(user_id, source=source)
        if which == SessionFilter():
            await self._stop_what_was_begun()
        # A run before this one may have met a Redis that was away, after its commit.
        async with self._db.connection() as repos:
            await self._living.bury(await repos.sessions.list_lately_revoked())
        return Revocation(revoked=await self._revoke(which, source), dry_run=False)

    async def _revoke(self, which: SessionFilter, source: Source | None) -> int:
        total, after = 0, FIRST
        while ended := await self._revoke_batch(which, after, source):
            await self._living.bury(ended)
            total, after = total + len(ended), max(ended)
        return total

    async def _revoke_batch(self, which: SessionFilter, after: UUID, source: Source | None) -> list[UUID]:
        async with self._db.transaction() as repos:
            ended = await repos.sessions.revoke_matching(which, reason=REASON, after=after, most=BATCH)
            if ended:
                note = f"{len(ended)} of {_written(which)}"
                revoked = Happening(event=Event.SESSIONS_REVOKED, user_id=which.user_id, note=note)
                await self._audit.record(repos, revoked, source)
        return ended

    async def _stop_what_was_begun(self) -> None:
        last: UUID | None = FIRST
        while last is not None:
            async with self._db.transaction() as repos:
                last = await repos.accounts.set_all_sessions_revoked(last, BATCH)


def _written(which: SessionFilter) -> str:
    """Return a filter as the trail keeps it."""
    parts = {
        "aal": which.aal,
        "created_before": which.created_before,
        "seen_before": which.seen_before,
    }
    return ", ".join(f"{name}={value}" for name, value in parts.items() if value is not None) or "all"
