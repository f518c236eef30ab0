"""What a person does with the account itself: look at it, rename it, end it."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.endings import erase
from cypher.auth.events import Event
from cypher.auth.freshness import Freshness
from cypher.auth.living import LivingSessions
from cypher.auth.naming import hold_names
from cypher.auth.source import Source
from cypher.auth.types import SessionView
from cypher.crypto.keyring import KeyRing
from cypher.errors import RedisUnavailable, SessionExpired, UsernameTaken
from cypher.postgres import Database
from cypher.postgres_errors import QueryFailed
from cypher.repositories import Repositories
from cypher.repositories.accounts import USERNAME_UNIQUE


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner sees it."""

    id: UUID
    username: str
    totp_enabled: bool
    created_at: datetime
    password_changed_at: datetime
    last_login_at: datetime | None


class Account:
    """The routes of `/v1/account`."""

    def __init__(
        self, *, db: Database[Repositories], ring: KeyRing, audit: Audit, living: LivingSessions, freshness: Freshness
    ) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._living = living
        self._freshness = freshness

    async def show(self, session: SessionView) -> AccountView:
        """Return the account of a session."""
        async with self._db.connection() as repos:
            return await account_of(repos, session.user_id)

    async def rename(self, session: SessionView, username: str, source: Source) -> AccountView:
        """Give the account another name, and make every cached session show it. Needs a fresh proof.

        Raises ValidationFailed, UsernameTaken, NamesBusy.
        """
        name = usernames.normalise(username)
        try:
            account, cached = await self._rename(session, name, source)
        except QueryFailed as exc:
            if exc.constraint != USERNAME_UNIQUE:
                raise
            raise UsernameTaken from None
        with suppress(RedisUnavailable):  # then a cached session shows the old name for some seconds longer
            for session_id in cached:
                await self._living.read_again(session_id)
        return account

    async def delete(self, session: SessionView, source: Source) -> None:
        """Delete the account, all that is kept of it, and every session. Needs a fresh proof.

        Raises RedisUnavailable when it is deleted, but a cache may still answer for its sessions for some seconds.
        """
        async with self._db.transaction() as repos:
            await self._freshness.require(repos, session)
            # Recorded before: what goes with a person takes with it what this entry says of them.
            deleted = Happening(event=Event.ACCOUNT_DELETED, user_id=session.user_id, session_id=session.id)
            await self._audit.record(repos, deleted, source)
            ended = await erase(repos, session.user_id)
        await self._living.bury(ended.to_bury)

    async def _rename(self, session: SessionView, name: str, source: Source) -> tuple[AccountView, list[UUID]]:
        """Return the account under its name of now, and the sessions that must be read anew after the commit."""
        async with self._db.transaction() as repos:
            await hold_names(repos, self._ring)
            await self._freshness.require(repos, session)
            before = await account_of(repos, session.user_id)
            if before.username == name:
                return before, []
            await repos.accounts.set_username(session.user_id, name)
            renamed = Happening(
                event=Event.ACCOUNT_RENAMED,
                user_id=session.user_id,
                session_id=session.id,
                username=name,
                note=f"before: {before.username}",
            )
            await self._audit.record(repos, renamed, source)
            cached = await repos.sessions.list_cached_sessions(session.user_id)
            return msgspec.structs.replace(before, username=name), cached


async def account_of(repos: Repositories, user_id: UUID) -> AccountView:
    """Return the account of somebody whose session was good a moment ago; raises SessionExpired where it is gone."""
    found = await repos.accounts.get_account(user_id)
    if found is None:
        raise SessionExpired
    return AccountView(
        id=found.id,
        username=found.username,
        totp_enabled=found.totp_enabled,
        created_at=found.created_at,
        password_changed_at=found.password_changed_at,
        last_login_at=found.last_login_at,
    )
