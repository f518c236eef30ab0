"""Entries of the audit trail as people and programs read them, and the way through them page by page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from cypher.auth.happenings import Details
from cypher.clock import EPOCH, LAST_MILLISECOND, microseconds_of
from cypher.crypto import base64url
from cypher.errors import FieldDoesNotOpen, FieldError, ValidationFailed
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.trail import Spot, StoredEntry, TrailFilter

#: Entries that are opened together: some ten milliseconds, after which the process's requests have their turn.
SLICE = 200


class ActorView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it."""

    type: str
    id: str | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as an operator sees it. No details: they do not open any more, or the person was erased."""

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    reason: str | None
    severity: str
    actor: ActorView
    user_id: UUID | None
    session_id: UUID | None
    request_id: str | None
    details: Details | None


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entries, newest first, and where to go on; None at the end."""

    items: list[EntryView]
    next_cursor: str | None


async def read_page(repos: Repositories, wanted: TrailFilter, before: Spot, limit: int) -> EntryPage:
    """Return the next entries before a spot."""
    found = await repos.trail.list_newest(wanted, before, limit)
    going_on = cursor_of(found[-1]) if len(found) == limit else None
    return EntryPage(items=await opened(repos, found), next_cursor=going_on)


async def read_all(db: Database[Repositories], wanted: TrailFilter, before: Spot) -> AsyncIterator[EntryView]:
    """Yield every entry before a spot, newest first: a few at a time, and no connection while they are made use of."""
    going_on: Spot | None = before
    while going_on is not None:
        async with db.connection() as repos:
            page = await read_page(repos, wanted, going_on, SLICE)
        for item in page.items:
            yield item
        going_on = spot_of(page.next_cursor) if page.next_cursor else None


async def opened(repos: Repositories, entries: Sequence[StoredEntry]) -> list[EntryView]:
    """Open entries for reading."""
    people = {entry.user_id for entry in entries if entry.user_id}
    secrets = await repos.audit_subjects.find_secrets(people)
    return [await _view(repos, entry, secrets) for entry in entries]


def cursor_of(entry: StoredEntry) -> str:
    """Return what names the spot after an entry: 24 bytes that say nothing else, in base64url."""
    return base64url.encode(microseconds_of(entry.occurred_at).to_bytes(8, "big") + entry.id.bytes)


def spot_of(cursor: str) -> Spot:
    """Read what `cursor_of` writes; raises ValidationFailed for anything else."""
    try:
        raw = base64url.decode(cursor)
        microseconds = int.from_bytes(raw[:8], "big")
        if len(raw) != 24 or microseconds > LAST_MILLISECOND * 1000:
            raise ValueError
    except ValueError:
        raise ValidationFailed([FieldError("/cursor", "invalid")]) from None
    return Spot(EPOCH + timedelta(microseconds=microseconds), UUID(bytes=raw[8:]))


async def _view(repos: Repositories, entry: StoredEntry, secrets: Mapping[UUID, bytes]) -> EntryView:
    try:
        raw = await repos.trail.open_details(entry, secrets)
        details: Details | None = msgspec.json.decode(raw, type=Details)
    except FieldDoesNotOpen:
        details = None
    return EntryView(
        id=entry.id,
        occurred_at=entry.occurred_at,
        action=entry.action,
        outcome=entry.outcome,
        reason=entry.reason,
        severity=entry.severity,
        actor=ActorView(type=entry.actor_type, id=entry.actor_id),
        user_id=entry.user_id,
        session_id=entry.session_id,
        request_id=entry.request_id,
        details=details,
    )
