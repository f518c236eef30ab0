"""What an operator does about people: find, invite, keep out, let in, help back in, delete. Plain arguments, no HTTP.

Whatever keeps somebody out holds at once, on every instance: their sessions end, and what they began cannot end.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.endings import Ended, end_sessions, erase
from cypher.auth.events import Event
from cypher.auth.living import LivingSessions
from cypher.auth.naming import hold_names
from cypher.auth.recovery_tokens import HANDED_OVER, new_recovery_token
from cypher.auth.refresh_tokens import hash_token
from cypher.auth.source import Source
from cypher.clock import Clock, new_id
from cypher.crypto.keyring import KeyRing
from cypher.errors import AccountDisabled, AccountLocked, NotFound, UsernameTaken
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.accounts import ListedPerson

#: A lock passes by itself; what should not is a disabling.
LOCK = timedelta(days=1)
FIRST = UUID(int=0)
PAGE = 100


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, as operators see them."""

    id: UUID
    username: str | None  #: None where it does not open
    is_active: bool
    totp_enabled: bool
    locked_until: datetime | None
    created_at: datetime
    last_login_at: datetime | None


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some people, oldest first, and where the next ones begin."""

    items: list[UserView]
    next_cursor: UUID | None


class RecoveryToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be handed over. Whoever has it can set this person's password."""

    recovery_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return "RecoveryToken(***)"


class InvitedUser(RecoveryToken, frozen=True, kw_only=True):
    """Somebody who has a name, and the token by which they give themselves a password."""

    user: UserView

    def __repr__(self) -> str:
        return "InvitedUser(***)"


class People:
    """Everything that takes a user's id raises NotFound for one that nobody has.

    `source` is the operator's request; None at the command line.
    """

    def __init__(
        self, *, db: Database[Repositories], ring: KeyRing, audit: Audit, living: LivingSessions, clock: Clock
    ) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._living = living
        self._clock = clock

    async def list_users(self, *, cursor: UUID | None = None, most: int = PAGE) -> UserPage:
        """Return the next people after a cursor, oldest first."""
        async with self._db.connection() as repos:
            found = await repos.accounts.list_people(cursor or FIRST, most + 1)
        items = [_view(person) for person in found[:most]]
        return UserPage(items=items, next_cursor=items[-1].id if len(found) > most else None)

    async def find(self, username: str) -> UserView | None:
        """Return the person of a name in any of its spellings; raises ValidationFailed for what cannot be a name."""
        name = usernames.normalise(username)
        async with self._db.connection() as repos:
            found = await repos.accounts.find_person(name)
        return _view(found) if found else None

    async def named(self, username: str) -> UserPage:
        """Return the person of a name as a page: of one, or of none."""
        user = await self.find(username)
        return UserPage(items=[user] if user else [], next_cursor=None)

    async def get(self, user_id: UUID) -> UserView:
        async with self._db.connection() as repos:
            return await self._get(repos, user_id)

    async def create(
        self, username: str, *, lifetime: timedelta = HANDED_OVER, source: Source | None = None
    ) -> InvitedUser:
        """Make somebody who gives themselves a password by the token, also while registration is closed.

        Raises ValidationFailed, UsernameTaken, NamesBusy. Until then a login with this name is answered like one with a
        name that nobody has.
        """
        name, user_id = usernames.normalise(username), new_id(self._clock)
        async with self._db.transaction() as repos:
            await hold_names(repos, self._ring)
            if not await repos.accounts.insert_person(user_id, name):
                raise UsernameTaken
            token = await self._issue(repos, user_id, lifetime)
            created = Happening(event=Event.USER_CREATED, user_id=user_id, username=name)
            await self._audit.record(repos, created, source)
            user = await self._get(repos, user_id)
        return InvitedUser(user=user, recovery_token=token.recovery_token, expires_at=token.expires_at)

    async def issue_recovery(
        self, user_id: UUID, *, lifetime: timedelta = HANDED_OVER, source: Source | None = None
    ) -> RecoveryToken:
        """Make a token for somebody who has lost the password; raises AccountDisabled or AccountLocked."""
        async with self._db.transaction() as repos:
            await self._hold(repos, user_id)
            token = await self._issue(repos, user_id, lifetime)
            await self._audit.record(repos, Happening(event=Event.RECOVERY_HANDED_OVER, user_id=user_id), source)
        return token

    async def lock(self, user_id: UUID, *, lifetime: timedelta = LOCK, source: Source | None = None) -> UserView:
        """Keep somebody out for a while; asked again, for that long from now."""
        async with self._db.transaction() as repos:
            await self._hold(repos, user_id)
            await repos.accounts.set_locked(user_id, lifetime)
            ended = await _shut_out(repos, user_id, "locked")
            user = await self._recorded(repos, Event.USER_LOCKED, user_id, source)
        await self._living.bury(ended.to_bury)
        return user

    async def unlock(self, user_id: UUID, *, source: Source | None = None) -> UserView:
        """End a lock; what it has ended stays ended."""
        async with self._db.transaction() as repos:
            await self._hold(repos, user_id)
            await repos.accounts.set_locked(user_id, None)
            return await self._recorded(repos, Event.USER_UNLOCKED, user_id, source)

    async def disable(self, user_id: UUID, *, source: Source | None = None) -> UserView:
        """Keep somebody out until they are enabled."""
        async with self._db.transaction() as repos:
            await self._hold(repos, user_id)
            await repos.users.set_active(user_id, False)
            ended = await _shut_out(repos, user_id, "disabled")
            user = await self._recorded(repos, Event.USER_DISABLED, user_id, source)
        await self._living.bury(ended.to_bury)
        return user

    async def enable(self, user_id: UUID, *, source: Source | None = None) -> UserView:
        """Let somebody in again; what a disabling has ended stays ended."""
        async with self._db.transaction() as repos:
            await self._hold(repos, user_id)
            await repos.users.set_active(user_id, True)
            return await self._recorded(repos, Event.USER_ENABLED, user_id, source)

    async def delete(self, user_id: UUID, *, source: Source | None = None) -> None:
        """Delete somebody and all that is kept of them; their name is free again."""
        async with self._db.transaction() as repos:
            await self._hold(repos, user_id)
            await self._audit.record(repos, Happening(event=Event.USER_DELETED, user_id=user_id), source)
            ended = await erase(repos, user_id)
        await self._living.bury(ended.to_bury)

    async def _hold(self, repos: Repositories, user_id: UUID) -> None:
        if not await repos.users.hold_user(user_id):
            raise NotFound

    async def _get(self, repos: Repositories, user_id: UUID) -> UserView:
        found = await repos.accounts.get_person(user_id)
        if found is None:
            raise NotFound
        return _view(found)

    async def _issue(self, repos: Repositories, user_id: UUID, lifetime: timedelta) -> RecoveryToken:
        value = new_recovery_token()
        expires_at = await repos.recovery_tokens.insert_token(hash_token(value), user_id, lifetime)
        if expires_at is None:
            raise AccountLocked if (await self._get(repos, user_id)).is_active else AccountDisabled
        return RecoveryToken(recovery_token=value, expires_at=expires_at)

    async def _recorded(self, repos: Repositories, event: Event, user_id: UUID, source: Source | None) -> UserView:
        await self._audit.record(repos, Happening(event=event, user_id=user_id), source)
        return await self._get(repos, user_id)


async def _shut_out(repos: Repositories, user_id: UUID, reason: str) -> Ended:
    """End what is open, what was begun, and what could open it again; returns the sessions to be buried."""
    await repos.users.set_sessions_revoked(user_id)
    await repos.recovery_tokens.end_tokens(user_id)
    return await end_sessions(repos, user_id, keep=None, reason=reason)


def _view(person: ListedPerson) -> UserView:
    return UserView(
        id=person.id,
        username=person.username,
        is_active=person.is_active,
        totp_enabled=person.totp_enabled,
        locked_until=person.locked_until,
        created_at=person.created_at,
        last_login_at=person.last_login_at,
    )
