"""Sessions: where they come from is sealed, when they end is not. A session that has ended never lives again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.codec import FieldCodec
from cypher.postgres import Executor, Record
from cypher.repositories.session_fields import OpenedSessions, SessionData, SessionFields, seal_data

sql = sqlfiles.load("sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session in whatever state, with its owner's name."""

    session_id: UUID
    user_id: UUID
    username: str  #: opened here, sealed in the owner's row
    user_agent: str  #: opened here, sealed in the row
    amr: tuple[str, ...]  #: likewise; the methods of the login (RFC 8176)
    ip_address: str  #: likewise
    device_id: UUID | None
    aal: int
    authenticated_at: datetime
    created_at: datetime
    last_seen_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedSession:
    """A living session and the ids of its tokens that were ended before their time."""

    open: Callable[[], Awaitable[Session]]  #: opens its sealed fields; raises FieldDoesNotOpen
    ended_jtis: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which living sessions are meant; None matches all."""

    user_id: UUID | None = None
    aal: int | None = None
    created_before: datetime | None = None
    seen_before: datetime | None = None


class SessionRepository:
    """The table `user_sessions`."""

    def __init__(self, run: Executor, codec: FieldCodec, opened: OpenedSessions) -> None:
        self._run = run
        self._codec = codec
        self._opened = opened

    async def get_session(self, session_id: UUID) -> Session | None:
        """Return a session whatever its state."""
        row = await self._run.one(sql.get_session, session_id)
        return await self._session(row) if row else None

    async def touch_sessions(
        self, session_ids: Sequence[UUID], *, idle: timedelta, unwritten: timedelta
    ) -> dict[UUID, TouchedSession]:
        """Prolong living sessions by `idle` from now and return them by their ids, still sealed.

        Left out are those that are over, unknown, or of somebody whose account is disabled. One that was prolonged
        within `unwritten` is returned as it stands. Each is opened by whoever asked for it: what does not open is one
        person's misfortune.
        """
        rows = await self._run.many(sql.touch_sessions, session_ids, idle, unwritten)
        return {
            row["session_id"]: TouchedSession(open=partial(self._session, row), ended_jtis=tuple(row["ended_jtis"]))
            for row in rows
        }

    async def is_fresh(self, session_id: UUID, within: timedelta) -> bool | None:
        """Tell whether all that its owner can prove was proven within `within`; None for a session that is over."""
        found = await self._run.value(sql.is_fresh, session_id, within)
        return found if isinstance(found, bool) else None

    async def set_authenticated(self, session: Session, *, amr: tuple[str, ...], aal: int) -> Session | None:
        """Renew the proof of a session; None when it is over, or was renewed since it was as it is handed in."""
        sealed = await seal_data(self._codec, session.session_id, SessionData(session.user_agent, amr))
        authenticated_at = await self._run.value(
            sql.set_authenticated,
            session.session_id,
            session.user_id,
            session.authenticated_at,
            aal,
            sealed.ciphertext,
            sealed.key_id,
        )
        if not isinstance(authenticated_at, datetime):
            return None
        return replace(session, authenticated_at=authenticated_at, aal=aal, amr=amr)

    async def list_live_sessions(self, user_id: UUID) -> list[Session]:
        """Return a person's living sessions, newest first, 100 at most."""
        return [await self._session(row) for row in await self._run.many(sql.list_live_sessions, user_id)]

    async def list_sessions(self, user_id: UUID, before: UUID, most: int) -> list[Session]:
        """Return the next sessions of a person before an id, whatever their state, newest first."""
        return [await self._session(row) for row in await self._run.many(sql.list_sessions, user_id, before, most)]

    async def list_cached_sessions(self, user_id: UUID) -> list[UUID]:
        """Return the ids of a person's living sessions that a cache may hold."""
        return [row["session_id"] for row in await self._run.many(sql.list_cached_sessions, user_id)]

    async def revoke_session(self, session_id: UUID, user_id: UUID, reason: str) -> bool:
        """End a session of this person; True when this call ended it."""
        return await self._run.execrows(sql.revoke_session, session_id, user_id, reason) == 1

    async def revoke_sessions(
        self, user_id: UUID, *, keep: UUID | None, reason: str, device_id: UUID | None = None
    ) -> list[UUID]:
        """End a person's living sessions, all or all but one, or those of a device; returns the ids of those it ended.

        Hold the person's row before, or a login under way makes a session that this does not see.
        """
        rows = await self._run.many(sql.revoke_sessions, user_id, keep, reason, device_id)
        return [row["session_id"] for row in rows]

    async def count_matching(self, which: SessionFilter) -> int:
        """Count living sessions. Reads the whole table."""
        found = await self._run.value(
            sql.count_matching, which.user_id, which.aal, which.created_before, which.seen_before
        )
        return found if isinstance(found, int) else 0

    async def revoke_matching(self, which: SessionFilter, *, reason: str, after: UUID, most: int) -> list[UUID]:
        """End the next living sessions after an id that match; returns their ids."""
        rows = await self._run.many(
            sql.revoke_matching,
            which.user_id,
            which.aal,
            which.created_before,
            which.seen_before,
            reason,
            after,
            most,
        )
        return [row["session_id"] for row in rows]

    async def list_recently_revoked(self, user_id: UUID) -> list[UUID]:
        """Return the ids of a person's sessions that ended in the last 10 minutes."""
        return [row["session_id"] for row in await self._run.many(sql.list_recently_revoked, user_id)]

    async def list_lately_revoked(self) -> list[UUID]:
        """Return the ids of everybody's sessions that ended in the last minute. Reads the whole table."""
        return [row["session_id"] for row in await self._run.many(sql.list_lately_revoked)]

    async def _session(self, row: Record) -> Session:
        return session_of(row, await self._opened.open(row))


def session_of(row: Record, fields: SessionFields) -> Session:
    """Return the session of a row whose sealed fields are open."""
    return Session(
        user_agent=fields.data.user_agent,
        amr=fields.data.amr,
        ip_address=fields.ip_address,
        username=fields.username,
        session_id=row["session_id"],
        user_id=row["user_id"],
        device_id=row["device_id"],
        aal=row["aal"],
        authenticated_at=row["authenticated_at"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        idle_expires_at=row["idle_expires_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        revoked_reason=row["revoked_reason"],
    )
