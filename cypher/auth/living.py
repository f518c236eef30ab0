"""Which sessions live: Redis answers, PostgreSQL decides.

A cached document is trusted for seconds; a revocation is a commit first and a tombstone second, and no fill
overwrites a tombstone. Nothing here ends a session: it only looks, and buries what it finds dead.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from cypher.auth.types import AccessClaims, SessionView
from cypher.clock import Clock
from cypher.ephemeral.session_cache import SessionCache, SessionDocument, Tombstone
from cypher.errors import AccessTokenEnded, KeysUnavailable, RedisUnavailable, SessionExpired
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.sessions import Session


class LivingSessions:
    """Answers whether a session lives and a token of it was not ended, in one round trip on a hit."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        cache: SessionCache,
        clock: Clock,
        idle: timedelta,
        tombstone: timedelta,
    ) -> None:
        self._db = db
        self._cache = cache
        self._clock = clock
        self._idle = idle
        self._tombstone = tombstone

    async def view(self, claims: AccessClaims) -> SessionView:
        """Return the session that `claims` names.

        Raises SessionExpired when it is over, AccessTokenEnded when this one token was ended, PostgresUnavailable
        when the cache does not know and PostgreSQL cannot be asked.
        """
        document = await self._document(claims.sid)
        if claims.jti in document.ended_jtis:
            raise AccessTokenEnded
        if min(document.expires_at, document.idle_expires_at) <= self._clock.now():
            raise SessionExpired
        return view_of(document)

    async def remember(
        self, session: Session, *, read_at: datetime, ended_jtis: tuple[str, ...] = ()
    ) -> SessionDocument:
        """Offer a session to the cache; without Redis, do nothing.

        `read_at` is the moment before PostgreSQL was asked: the document is trusted from then, not from now.
        """
        document = SessionDocument(
            id=session.session_id,
            user_id=session.user_id,
            username=session.username,
            aal=session.aal,
            amr=session.amr,
            authenticated_at=session.authenticated_at,
            created_at=session.created_at,
            expires_at=session.expires_at,
            idle_expires_at=session.idle_expires_at,
            device_id=session.device_id,
            ended_jtis=ended_jtis,
            filled_at=read_at,
        )
        with suppress(RedisUnavailable, KeysUnavailable):  # then the next reader asks PostgreSQL as well
            await self._cache.fill(document)
        return document

    async def bury(self, session_ids: Iterable[UUID]) -> None:
        """Make every instance refuse these sessions now; call it after the commit that ended them.

        Raises RedisUnavailable when a cached answer may live on for some seconds: the caller must not say that
        the sessions have ended.
        """
        await self._cache.bury(session_ids, self._tombstone)

    async def read_again(self, session_id: UUID) -> None:
        """Make every instance read the session anew; call it after the commit that changed it or ended a token."""
        await self._cache.mark(session_id)

    async def _document(self, session_id: UUID) -> SessionDocument:
        try:
            cached = await self._cache.get(session_id)
        except RedisUnavailable:
            cached = None
        if isinstance(cached, Tombstone):
            raise SessionExpired
        return cached or await self._load(session_id)

    async def _load(self, session_id: UUID) -> SessionDocument:
        read_at = self._clock.now()
        async with self._db.connection() as repos:
            found = await repos.sessions.touch_session(session_id, self._idle)
        if found is None:
            await self._bury_the_dead(session_id)
            raise SessionExpired
        session, ended_jtis = found
        return await self.remember(session, read_at=read_at, ended_jtis=ended_jtis)

    async def _bury_the_dead(self, session_id: UUID) -> None:
        """Write the tombstone that whoever ended this session may have failed to write."""
        with suppress(RedisUnavailable):  # PostgreSQL refuses it as well
            await self.bury([session_id])


def view_of(session: SessionDocument | Session) -> SessionView:
    """Return what a session's owner sees of a document or a row."""
    return SessionView(
        id=session.session_id if isinstance(session, Session) else session.id,
        user_id=session.user_id,
        username=session.username,
        aal=session.aal,
        amr=session.amr,
        authenticated_at=session.authenticated_at,
        created_at=session.created_at,
        expires_at=session.expires_at,
        idle_expires_at=session.idle_expires_at,
        device_id=session.device_id,
    )
