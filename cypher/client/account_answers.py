"""What the client shows of a person's account: its history, its devices, all that is kept of it."""

from datetime import datetime
from uuid import UUID

import msgspec


class ActivityEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, `count` times; `actor` is user, stranger, operator or service."""

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    reason: str | None
    actor: str
    session_id: UUID | None
    address: str | None
    user_agent: str | None
    count: int


class ActivityPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entries, newest first; `next_cursor` goes on from here, and is None at the end."""

    items: tuple[ActivityEntry, ...]
    next_cursor: str | None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The person's account; `username` is the form the service keeps."""

    id: UUID
    username: str
    totp_enabled: bool
    created_at: datetime
    password_changed_at: datetime
    last_login_at: datetime | None


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


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device says of itself, 200 characters each at most."""

    platform: str | None = None  #: its operating system
    model: str | None = None
    app: str | None = None  #: the browser or program that logs in


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
    """That a session was prolonged, and from where."""

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
    """All that is kept of the person, newest first; a list of `most_of_each` entries may not be whole."""

    exported_at: datetime
    most_of_each: int
    account: Account
    sessions: tuple[ExportedSession, ...]
    devices: tuple[ExportedDevice, ...]
    refresh_tokens: tuple[ExportedRefreshToken, ...]
    recovery_codes: tuple[ExportedRecoveryCode, ...]
    recovery_tokens: tuple[ExportedRecoveryToken, ...]
    wrong_codes: tuple[datetime, ...]


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The device at hand: `fingerprint` (255 characters at most) finds it again; `name` (100) is for its owner."""

    fingerprint: str
    name: str | None = None
    info: DeviceInfo | None = None


class ListedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the person's devices; `current` marks the one of this session."""

    id: UUID
    name: str | None
    trusted_until: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    current: bool
