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
from cypher.metrics import Metrics
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.sessions import Session, TouchedSession
from cypher.shared_calls import SharedCalls

#: A use that was written down so lately stands for those since: half of what a cached document is trusted for, so that
#: every fill of the cache writes one.
UNWRITTEN = timedelta(seconds=15)
#: Sessions that one statement reads, and statements at once: while Redis is away sessions take no more connections than
#: this from logins.
LOADED_TOGETHER = 100
LOADS = 2


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
        metrics: Metrics,
    ) -> None:
        self._db = db
        self._cache = cache
        self._clock = clock
        self._idle = idle
        self._unwritten = min(UNWRITTEN, idle / 10)
        self._tombstone = tombstone
        self._metrics = metrics
        self._hits, self._misses, self._away = (metrics.lookups.labels(result) for result in ("hit", "miss", "away"))
        self._loads = SharedCalls(self._touch, most=LOADED_TOGETHER, turns=LOADS)

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

    async def remember(self, session: Session, *, read_at: datetime) -> None:
        """Offer a new session to the cache; without Redis, do nothing.

        `read_at` is the moment before PostgreSQL was asked: the document is trusted from then, not from now.
        """
        await self._offer(document_of(session, read_at))

    async def bury(self, session_ids: Iterable[UUID]) -> None:
        """Make every instance refuse these sessions now; call it after the commit that ended them.

        Raises RedisUnavailable when a cached answer may live on for some seconds: the caller must not say that
        the sessions have ended.
        """
        began = self._clock.monotonic()
        try:
            await self._cache.bury(session_ids, self._tombstone)
        except RedisUnavailable:
            self._metrics.unconfirmed.inc()
            raise
        self._metrics.revocations.observe(self._clock.monotonic() - began)

    async def read_again(self, session_id: UUID) -> None:
        """Make every instance read the session anew; call it after the commit that changed it or ended a token."""
        await self._cache.mark(session_id)

    async def _document(self, session_id: UUID) -> SessionDocument:
        try:
            cached = await self._cache.get(session_id)
        except RedisUnavailable:
            self._away.inc()
            return await self._load(session_id)
        if cached is None:
            self._misses.inc()
        else:
            self._hits.inc()
        if isinstance(cached, Tombstone):
            raise SessionExpired
        if cached is not None:
            return cached
        loaded = await self._load(session_id)
        await self._offer(loaded)
        return loaded

    async def _load(self, session_id: UUID) -> SessionDocument:
        read_at = self._clock.now()
        touched = await self._loads.get(session_id)
        if touched is None:
            await self._bury_the_dead(session_id)
            raise SessionExpired
        return document_of(await touched.open(), read_at, touched.ended_jtis)

    async def _touch(self, session_ids: list[UUID]) -> dict[UUID, TouchedSession]:
        async with self._db.connection() as repos:
            return await repos.sessions.touch_sessions(session_ids, idle=self._idle, unwritten=self._unwritten)

    async def _offer(self, document: SessionDocument) -> None:
        with suppress(RedisUnavailable, KeysUnavailable):  # then the next reader asks PostgreSQL as well
            await self._cache.fill(document)

    async def _bury_the_dead(self, session_id: UUID) -> None:
        """Write the tombstone that whoever ended this session may have failed to write."""
        with suppress(RedisUnavailable):  # PostgreSQL refuses it as well
            await self.bury([session_id])


def document_of(session: Session, read_at: datetime, ended_jtis: tuple[str, ...] = ()) -> SessionDocument:
    """Return what the cache holds of a session that was read after `read_at`."""
    return SessionDocument(
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
