"""All that is kept of a person, opened for them, in one document: a section for each kind of row.

What proves who they are is left out: OPAQUE record, TOTP secret, hashes. A thief of a session must not get those, and
they say nothing about the person.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from cypher.auth.account import AccountView, account_of
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.auth.types import SessionView
from cypher.clock import Clock
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.devices import DeviceInfo, KeptDevice
from cypher.repositories.refresh_tokens import KeptToken
from cypher.repositories.sessions import Session

Row = TypeVar("Row")
Cursor = TypeVar("Cursor")

#: Of each section the newest so many: all of it must be read within one request.
MOST = 1000
#: Rows that are opened, for some milliseconds, before other requests have their turn.
PAGE = 50
BEYOND_ALL_IDS = UUID(int=2**128 - 1)
BEYOND_ALL_TOKENS = (datetime(9999, 1, 1, tzinfo=UTC), b"")


class ExportedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session, living or not, and where it came from."""

    id: UUID
    aal: int
    amr: tuple[str, ...]
    ip_address: str
    user_agent: str
    device_id: UUID | None
    authenticated_at: datetime
    created_at: datetime
    last_seen_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None


class ExportedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device, revoked or not."""

    id: UUID
    fingerprint: str
    name: str | None
    platform: str | None
    model: str | None
    app: str | None
    trusted_until: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    revoked_at: datetime | None


class ExportedRefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """That a session was prolonged, and from where; never the token."""

    session_id: UUID
    ip_address: str | None
    user_agent: str | None
    issued_at: datetime
    consumed_at: datetime | None


class ExportedRecoveryCode(msgspec.Struct, frozen=True, kw_only=True):
    created_at: datetime
    used_at: datetime | None


class ExportedRecoveryToken(msgspec.Struct, frozen=True, kw_only=True):
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class AccountExport(msgspec.Struct, frozen=True, kw_only=True):
    """The account, and a list for each kind of row, newest first."""

    exported_at: datetime
    most_of_each: int  #: a list that is as long as this may not be whole
    account: AccountView
    sessions: list[ExportedSession]
    devices: list[ExportedDevice]
    refresh_tokens: list[ExportedRefreshToken]
    recovery_codes: list[ExportedRecoveryCode]
    recovery_tokens: list[ExportedRecoveryToken]
    wrong_codes: list[datetime]


class Export:
    """GET /v1/account/export."""

    def __init__(self, *, db: Database[Repositories], audit: Audit, clock: Clock, most: int = MOST) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock
        self._most = most

    async def export(self, session: SessionView, source: Source) -> AccountExport:
        """Read and open every section. Recorded: a thief of a session would begin with this."""
        user_id, most = session.user_id, self._most
        async with self._db.connection() as repos:
            account = await account_of(repos, user_id)
            exported = Happening(event=Event.ACCOUNT_EXPORTED, user_id=user_id, session_id=session.id)
            await self._audit.record(repos, exported, source)
            return AccountExport(
                exported_at=self._clock.now(),
                most_of_each=most,
                account=account,
                sessions=await _sessions(repos, user_id, most),
                devices=await _devices(repos, user_id, most),
                refresh_tokens=await _refresh_tokens(repos, user_id, most),
                recovery_codes=await _recovery_codes(repos, user_id),
                recovery_tokens=await _recovery_tokens(repos, user_id, most),
                wrong_codes=await repos.factors.list_failures(user_id, most),
            )


async def _sessions(repos: Repositories, user_id: UUID, most: int) -> list[ExportedSession]:
    async def page(before: UUID, rows: int) -> list[Session]:
        return await repos.sessions.list_sessions(user_id, before, rows)

    found = await _in_pages(page, BEYOND_ALL_IDS, lambda session: session.session_id, most)
    return [
        ExportedSession(
            id=session.session_id,
            aal=session.aal,
            amr=session.amr,
            ip_address=session.ip_address,
            user_agent=session.user_agent,
            device_id=session.device_id,
            authenticated_at=session.authenticated_at,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            idle_expires_at=session.idle_expires_at,
            expires_at=session.expires_at,
            revoked_at=session.revoked_at,
            revoked_reason=session.revoked_reason,
        )
        for session in found
    ]


async def _devices(repos: Repositories, user_id: UUID, most: int) -> list[ExportedDevice]:
    async def page(before: UUID, rows: int) -> list[KeptDevice]:
        return await repos.devices.list_kept_devices(user_id, before, rows)

    found = await _in_pages(page, BEYOND_ALL_IDS, lambda kept: kept.device.id, most)
    return [
        ExportedDevice(
            id=kept.device.id,
            fingerprint=kept.fingerprint,
            name=kept.device.name,
            **msgspec.structs.asdict(kept.device.info or DeviceInfo()),
            trusted_until=kept.device.trusted_until,
            first_seen_at=kept.device.first_seen_at,
            last_seen_at=kept.device.last_seen_at,
            revoked_at=kept.device.revoked_at,
        )
        for kept in found
    ]


async def _refresh_tokens(repos: Repositories, user_id: UUID, most: int) -> list[ExportedRefreshToken]:
    async def page(before: tuple[datetime, bytes], rows: int) -> list[KeptToken]:
        return await repos.refresh_tokens.list_tokens(user_id, before, rows)

    found = await _in_pages(page, BEYOND_ALL_TOKENS, lambda token: (token.issued_at, token.token_hash), most)
    return [
        ExportedRefreshToken(
            session_id=token.session_id,
            ip_address=token.metadata.ip_address if token.metadata else None,
            user_agent=token.metadata.user_agent if token.metadata else None,
            issued_at=token.issued_at,
            consumed_at=token.consumed_at,
        )
        for token in found
    ]


async def _recovery_codes(repos: Repositories, user_id: UUID) -> list[ExportedRecoveryCode]:
    return [
        ExportedRecoveryCode(created_at=code.created_at, used_at=code.used_at)
        for code in await repos.factors.list_recovery_codes(user_id)
    ]


async def _recovery_tokens(repos: Repositories, user_id: UUID, most: int) -> list[ExportedRecoveryToken]:
    return [
        ExportedRecoveryToken(created_at=token.created_at, expires_at=token.expires_at, used_at=token.used_at)
        for token in await repos.recovery_tokens.list_tokens(user_id, most)
    ]


async def _in_pages(
    page: Callable[[Cursor, int], Awaitable[list[Row]]], first: Cursor, cursor: Callable[[Row], Cursor], most: int
) -> list[Row]:
    """Read page after page; between two of them other requests have their turn."""
    found: list[Row] = []
    before = first
    while len(found) < most:
        rows = await page(before, min(PAGE, most - len(found)))
        found += rows
        if len(rows) < PAGE:
            break
        before = cursor(rows[-1])
        await asyncio.sleep(0)
    return found
