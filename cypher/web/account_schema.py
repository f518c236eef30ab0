"""What goes to and fro about an account: another password, another name, recovery, what happened to it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from cypher.auth.opaque import REGISTRATION_RECORD, REGISTRATION_REQUEST
from cypher.web.schema import base64url


class PasswordStart(msgspec.Struct, frozen=True, kw_only=True):
    registration_request: Annotated[str, base64url(REGISTRATION_REQUEST)]


class PasswordFinish(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    registration_record: Annotated[str, base64url(REGISTRATION_RECORD)]
    revoke_other_sessions: bool = True


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    username: str


class RecoveryRequest(msgspec.Struct, frozen=True, kw_only=True):
    username: str


class RecoveryStart(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    recovery_token: str
    registration_request: Annotated[str, base64url(REGISTRATION_REQUEST)]


class RecoveryFinish(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    registration_record: Annotated[str, base64url(REGISTRATION_RECORD)]


class ActivityPage(msgspec.Struct, frozen=True, kw_only=True):
    """The query of GET /v1/account/activity."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: Annotated[str, Meta(max_length=64)] | None = None


class ActivityItem(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, as its owner sees it: `count` times, of what was counted together, first at `occurred_at`."""

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    reason: str | None
    actor: Annotated[str, Meta(description="user, stranger, operator or service.")]
    session_id: UUID | None
    address: str | None
    user_agent: str | None
    count: int


class ActivityList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next_cursor` goes on from here, and is null at the end."""

    items: list[ActivityItem]
    next_cursor: str | None
