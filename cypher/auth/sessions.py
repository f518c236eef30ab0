"""Sessions of a person: validate, list, end. Ending is a commit in PostgreSQL, then a tombstone in Redis."""

from typing import Literal
from uuid import UUID

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Happening
from cypher.auth.endings import Ended, Endings, Recorder, end_session, end_sessions
from cypher.auth.events import Event
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.source import Source
from cypher.auth.types import ListedSession, Validated
from cypher.errors import NotFound, Unauthenticated
from cypher.postgres import Database
from cypher.repositories import Repositories

Scope = Literal["others", "all"]

#: Why a session has ended that its owner ended.
LOGOUT = "logout"


class Sessions:
    """What the holder of an access token may do with sessions."""

    def __init__(
        self, *, db: Database[Repositories], access: AccessTokens, living: LivingSessions, endings: Endings
    ) -> None:
        self._db = db
        self._access = access
        self._living = living
        self._endings = endings

    async def validate(self, access_token: str) -> Validated:
        """Return the living session that a token names: signature, revocation and limits are all checked.

        Raises Unauthenticated for a bad, expired or ended token, SessionExpired for a session that is over.
        """
        claims = self._access.verify(access_token)
        return Validated(session=await self._living.view(claims), claims=claims)

    async def end_current(self, access_token: str, source: Source) -> None:
        """End the session of this token on every instance.

        Asked again for a session that has ended already, repeats the step in Redis: that is how a client whose
        first try met a Redis that was away gets to its answer. RedisUnavailable until then.
        """
        claims = self._access.verify(access_token)

        async def end(repos: Repositories, recorder: Recorder) -> None:
            if await repos.blacklist.is_ended(claims.jti):
                raise Unauthenticated
            await end_session(repos, recorder, claims.sid, claims.sub, LOGOUT, source)

        await self._endings.run(end)
        await self._living.bury([claims.sid])

    async def list_sessions(self, validated: Validated) -> list[ListedSession]:
        """Return the person's living sessions, newest first, with what only their owner may see."""
        async with self._db.connection() as repos:
            found = await repos.sessions.list_live_sessions(validated.session.user_id)
        return [
            ListedSession(
                session=view_of(session),
                current=session.session_id == validated.session.id,
                last_seen_at=session.last_seen_at,
                ip_address=session.ip_address,
                user_agent=session.user_agent,
            )
            for session in found
        ]

    async def end(self, validated: Validated, session_id: UUID, source: Source) -> None:
        """End one session of the same person; raises NotFound for anybody else's."""
        user_id = validated.session.user_id

        async def end(repos: Repositories, recorder: Recorder) -> None:
            if not await end_session(repos, recorder, session_id, user_id, LOGOUT, source):
                session = await repos.sessions.get_session(session_id)
                if session is None or session.user_id != user_id:
                    raise NotFound

        await self._endings.run(end)
        await self._living.bury([session_id])

    async def end_many(self, validated: Validated, scope: Scope, source: Source) -> int:
        """End all sessions of the person, or all but this one; returns how many ended now.

        Logins that began before cannot finish after it. Sessions that ended a moment ago are buried again, so that
        asking once more completes what a Redis that was away left undone.
        """
        user_id = validated.session.user_id
        keep = validated.session.id if scope == "others" else None

        async def end(repos: Repositories, recorder: Recorder) -> Ended:
            await repos.users.set_sessions_revoked(user_id)
            ended = await end_sessions(repos, user_id, keep=keep, reason=scope)
            happening = Happening(event=Event.SESSIONS_ENDED, user_id=user_id, note=f"{scope}: {ended.count}")
            await recorder.record(repos, happening, source)
            return ended

        ended = await self._endings.run(end)
        await self._living.bury(ended.to_bury)
        return ended.count
