"""Somebody asks for a recovery token: the answer comes before anybody is looked up, and says nothing about the name.

What follows, for a name that somebody has, is a notice to the operator's mailer. It goes on in the background.
"""

import asyncio
import contextlib
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.rate_limits import RateLimits
from cypher.auth.recovery_tokens import ASKED_FOR, new_recovery_token
from cypher.auth.refresh_tokens import hash_token
from cypher.auth.source import Source
from cypher.clock import Clock, new_id
from cypher.config.limits import Category
from cypher.errors import Unavailable
from cypher.postgres import Database
from cypher.repositories import Repositories

#: Names that wait to be looked up, which takes milliseconds: far more than limits let through in that time.
WAITING = 1000


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the mailer is told. Whoever reads it can set this person's password."""

    id: UUID  #: of this notice, the same each time it is sent
    username: str
    user_id: UUID
    recovery_token: str
    expires_at: datetime
    event: Literal["recovery.requested"] = "recovery.requested"

    def __repr__(self) -> str:
        return f"Notice({self.id})"


class RecoveryRequests:
    """Takes requests, and makes tokens of them one after the other."""

    def __init__(
        self, *, db: Database[Repositories], audit: Audit, limits: RateLimits, clock: Clock, has_mailer: bool
    ) -> None:
        self._db = db
        self._audit = audit
        self._limits = limits
        self._clock = clock
        self._has_mailer = has_mailer
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING)

    async def request(self, username: str, source: Source) -> None:
        """Count, record and note a request; the same steps, and the same time, for every name.

        Without a mailer an operator finds it in the audit trail. Raises RateLimited by the name; Unavailable when too
        many wait to be looked up, which does not depend on who they are.
        """
        name = usernames.normalise(username)
        await self._limits.admit(Category.RECOVERY_NAME, name, source, username=name)
        async with self._db.connection() as repos:
            await self._audit.record(repos, Happening(event=Event.RECOVERY_REQUESTED, username=name), source)
        if not self._has_mailer:
            return
        try:
            self._waiting.put_nowait(name)
        except asyncio.QueueFull:
            raise Unavailable from None

    @property
    def waiting(self) -> int:
        """How many have not been looked up yet."""
        return self._waiting.qsize()

    async def next_notice(self) -> Notice | None:
        """Wait for a request and make a token; None for a name that nobody has, or whose owner may not come in.

        Raises Unavailable, and the request waits again, unless too many do; so it does when this is cancelled.
        """
        name = await self._waiting.get()
        try:
            return await self._issue(name)
        except (Unavailable, asyncio.CancelledError):
            with contextlib.suppress(asyncio.QueueFull):
                self._waiting.put_nowait(name)
            raise

    async def _issue(self, name: str) -> Notice | None:
        token = new_recovery_token()
        async with self._db.transaction() as repos:
            user = await repos.users.find_by_username(name)
            # Held, so that an account which is being deleted is not met in the middle.
            if user is None or not await repos.users.hold_user(user.id):
                return None
            expires_at = await repos.recovery_tokens.insert_token(hash_token(token), user.id, ASKED_FOR)
            if expires_at is None:
                return None
            issued = Happening(event=Event.RECOVERY_ISSUED, user_id=user.id, by_itself=True)
            await self._audit.record(repos, issued, None)
        return Notice(
            id=new_id(self._clock), username=name, user_id=user.id, recovery_token=token, expires_at=expires_at
        )
