"""Tokens after the login: refresh (RFC 6749, section 6), introspection (RFC 7662), revocation (RFC 7009), JWKS."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Audit, Happening
from cypher.auth.endings import Endings, Recorder, end_session
from cypher.auth.events import Event, Outcome
from cypher.auth.living import LivingSessions
from cypher.auth.refresh_tokens import PREFIX, hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.auth.types import AccessClaims, Jwk, Refreshed
from cypher.errors import InvalidGrant, Unauthenticated
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.refresh_tokens import Rotation, RotationWord, TokenMetadata
from cypher.repositories.sessions import Session


class Tokens:
    """The OAuth side."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        access: AccessTokens,
        living: LivingSessions,
        audit: Audit,
        endings: Endings,
        grace: timedelta,
        idle: timedelta,
    ) -> None:
        self._db = db
        self._access = access
        self._living = living
        self._audit = audit
        self._endings = endings
        self._grace = grace
        self._idle = idle

    async def refresh(self, refresh_token: str, source: Source) -> Refreshed:
        """Exchange a refresh token for a new pair.

        The same token again within the grace gives the same successor; later it is a theft, and the session ends.
        Raises InvalidGrant for every token that cannot be exchanged.
        """
        if not refresh_token.startswith(PREFIX):
            raise InvalidGrant
        new = new_refresh_token()

        async def turn(repos: Repositories, recorder: Recorder) -> tuple[Rotation | None, Session | None]:
            rotation = await repos.refresh_tokens.rotate(
                old_hash=hash_token(refresh_token),
                new_hash=hash_token(new),
                new_token=new,
                grace=self._grace,
                idle=self._idle,
                metadata=TokenMetadata(ip_address=source.address, user_agent=source.user_agent),
            )
            return rotation, await self._settle(repos, recorder, rotation, source)

        rotation, session = await self._endings.run(turn)
        if rotation is None:
            raise InvalidGrant
        if session is None:
            if rotation.word is not RotationWord.EXPIRED:
                await self._living.bury([rotation.session_id])
            raise InvalidGrant
        access_token = await self._access.issue(
            user_id=session.user_id, session_id=session.session_id, aal=session.aal, amr=session.amr
        )
        successor = rotation.successor or new
        return Refreshed(access_token=access_token, expires_in=self._access.expires_in, refresh_token=successor)

    async def introspect(self, token: str) -> AccessClaims | None:
        """Return the claims of an access token that holds right now, or None for anything else."""
        try:
            claims = self._access.verify(token)
            await self._living.view(claims)
        except Unauthenticated:
            return None
        return claims

    async def revoke(self, token: str, source: Source) -> None:
        """End a token: a refresh token ends its session, an access token ends alone. Unknown ones are no error."""
        if token.startswith(PREFIX):
            await self._revoke_family(token, source)
            return
        try:
            claims = self._access.verify(token)
        except Unauthenticated:
            return
        await self._end_access_token(claims, source)

    def jwks(self) -> list[Jwk]:
        """Return the public keys that access tokens are checked with."""
        return self._access.public_keys()

    async def _settle(
        self, repos: Repositories, recorder: Recorder, rotation: Rotation | None, source: Source
    ) -> Session | None:
        """Record what the rotation came to; returns the session when it goes on.

        Of all that it may come to, only the end of a stolen session goes on without the trail.
        """
        if rotation is None:
            return None
        if rotation.word is RotationWord.REUSED:
            await recorder.record(repos, _happening(Event.TOKEN_REUSED, rotation, Outcome.FAILURE), source)
            return None
        if rotation.word not in (RotationWord.ROTATED, RotationWord.REPEATED):
            return None
        if rotation.word is RotationWord.ROTATED:
            happening = _happening(Event.TOKEN_REFRESHED, rotation, Outcome.SUCCESS)
            await self._audit.record(repos, happening, source)
        return await repos.sessions.get_session(rotation.session_id)

    async def _revoke_family(self, token: str, source: Source) -> None:
        async def end(repos: Repositories, recorder: Recorder) -> UUID | None:
            session_id = await repos.refresh_tokens.find_session_id(hash_token(token))
            session = await repos.sessions.get_session(session_id) if session_id else None
            if session is None:
                return None
            await end_session(repos, recorder, session.session_id, session.user_id, "token_revoked", source)
            return session.session_id

        session_id = await self._endings.run(end)
        if session_id is not None:
            await self._living.bury([session_id])

    async def _end_access_token(self, claims: AccessClaims, source: Source) -> None:
        async with self._db.transaction() as repos:
            if await repos.sessions.get_session(claims.sid) is None:
                return
            ended = await repos.blacklist.insert_ended(
                jti=claims.jti,
                session_id=claims.sid,
                expires_at=datetime.fromtimestamp(claims.exp, UTC),
                reason="revoked",
            )
            if ended:
                happening = Happening(event=Event.TOKEN_REVOKED, user_id=claims.sub, session_id=claims.sid)
                await self._audit.record(repos, happening, source)
        await self._living.read_again(claims.sid)


def _happening(event: Event, rotation: Rotation, outcome: Outcome) -> Happening:
    return Happening(event=event, outcome=outcome, user_id=rotation.user_id, session_id=rotation.session_id)
