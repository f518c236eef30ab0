"""Proves a living session again: the end of a re-authentication, with a second factor or without."""

from contextlib import suppress

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.source import Source
from cypher.auth.types import Reauthenticated, aal_of
from cypher.errors import FlowExpired, RedisUnavailable
from cypher.repositories import Repositories
from cypher.repositories.sessions import Session


class Renewals:
    """Renew, commit, hand over."""

    def __init__(self, *, access: AccessTokens, living: LivingSessions, audit: Audit) -> None:
        self._access = access
        self._living = living
        self._audit = audit

    async def renew(self, repos: Repositories, session: Session, amr: tuple[str, ...], source: Source) -> Session:
        """Let the session say what was proven now, and no more; raises FlowExpired when it is over."""
        renewed = await repos.sessions.set_authenticated(session, amr=amr, aal=aal_of(amr))
        if renewed is None:
            raise FlowExpired
        happening = Happening(
            event=Event.REAUTHENTICATION_SUCCEEDED, user_id=session.user_id, session_id=session.session_id
        )
        await self._audit.record(repos, happening, source)
        return renewed

    async def hand_over(self, session: Session) -> Reauthenticated:
        """Sign an access token for the renewed session; call it after the commit."""
        with suppress(RedisUnavailable):  # what asks for a fresh proof asks PostgreSQL; the cache is behind for seconds
            await self._living.read_again(session.session_id)
        return Reauthenticated(
            session=view_of(session),
            access_token=await self._access.issue(
                user_id=session.user_id, session_id=session.session_id, aal=session.aal, amr=session.amr
            ),
            expires_in=self._access.expires_in,
        )
