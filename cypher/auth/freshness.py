"""The gate before what a stolen session must not do: password, and factor where one is enrolled, proven lately."""

from datetime import timedelta

from cypher.auth.types import SessionView
from cypher.errors import ReauthenticationRequired, SessionExpired
from cypher.repositories import Repositories


class Freshness:
    """Asks PostgreSQL, never the cache."""

    def __init__(self, within: timedelta) -> None:
        self._within = within

    async def require(self, repos: Repositories, session: SessionView) -> None:
        """Hold the person's row and refuse a session that was not proven lately, or is over.

        Call it in the transaction that acts, first of all: until the commit nobody else enrols or removes a factor.
        Raises ReauthenticationRequired or SessionExpired.
        """
        await repos.users.hold_user(session.user_id)
        fresh = await repos.sessions.is_fresh(session.id, self._within)
        if fresh is None:
            raise SessionExpired
        if not fresh:
            raise ReauthenticationRequired
