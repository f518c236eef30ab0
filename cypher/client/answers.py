"""What the service is sent and what it answers, as structs; unknown fields of an answer are ignored."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from cypher.client.errors import FieldProblem

# -- what a caller sees --------------------------------------------------------------------------------------


class RegisteredUser(msgspec.Struct, frozen=True, kw_only=True):
    """A person as just registered; `username` is the form the service keeps (RFC 8265)."""

    id: UUID
    username: str
    created_at: datetime


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A live session; `amr` are the methods it was proven by, `aal` how far to trust it (1 or 2)."""

    id: UUID
    user_id: UUID
    username: str
    aal: int
    amr: tuple[str, ...]
    authenticated_at: datetime
    created_at: datetime
    expires_at: datetime
    idle_expires_at: datetime
    device_id: UUID | None = None


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has besides the password."""

    totp_enabled: bool
    recovery_codes: int  #: that were not used yet


class TotpEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What to give an authenticator app; all three hold the secret, and it is not to be had again."""

    secret: str  #: base32
    otpauth_uri: str
    qr_svg: str

    def __repr__(self) -> str:
        return "TotpEnrolment(***)"


class ListedSession(Session, frozen=True, kw_only=True):
    """One of the person's live sessions; `current` marks the one that asked."""

    current: bool
    last_seen_at: datetime
    ip_address: str
    user_agent: str


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


# -- requests --------------------------------------------------------------------------------------------------


class RegistrationStart(msgspec.Struct, frozen=True):
    username: str
    registration_request: str


class RegistrationFinish(msgspec.Struct, frozen=True):
    flow_id: str
    registration_record: str


class LoginStart(msgspec.Struct, frozen=True, omit_defaults=True):
    username: str
    ke1: str
    device_token: str | None = None


class LoginFinish(msgspec.Struct, frozen=True, omit_defaults=True):
    flow_id: str
    ke3: str
    device: Device | None = None


class LoginMfa(msgspec.Struct, frozen=True, omit_defaults=True):
    mfa_token: str
    method: str
    code: str
    trust_device: bool = False


class DeviceChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str | None = None
    trusted: bool | None = None


class ReauthenticationStart(msgspec.Struct, frozen=True):
    ke1: str


class TotpConfirm(msgspec.Struct, frozen=True):
    code: str


class PasswordStart(msgspec.Struct, frozen=True):
    registration_request: str


class PasswordFinish(msgspec.Struct, frozen=True):
    flow_id: str
    registration_record: str
    revoke_other_sessions: bool


class Username(msgspec.Struct, frozen=True):
    username: str


class RecoveryStart(msgspec.Struct, frozen=True):
    username: str
    recovery_token: str
    registration_request: str


# -- answers ---------------------------------------------------------------------------------------------------


class RegistrationStarted(msgspec.Struct, frozen=True):
    flow_id: str
    registration_response: str


class Registered(msgspec.Struct, frozen=True):
    user: RegisteredUser


class LoginStarted(msgspec.Struct, frozen=True):
    flow_id: str
    ke2: str


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float


class Refreshed(AccessToken, frozen=True, kw_only=True):
    refresh_token: str


class Authenticated(Refreshed, frozen=True, kw_only=True):
    status: Literal["authenticated"]
    session: Session
    device_token: str | None = None


class Reauthenticated(AccessToken, frozen=True, kw_only=True):
    session: Session


class Proof(msgspec.Struct, frozen=True):
    """How far a proof has come: a session has `status` "authenticated", or none when it is proven again."""

    status: Literal["authenticated", "mfa_required", ""] = ""


class MfaRequired(msgspec.Struct, frozen=True):
    mfa_token: str
    factors: tuple[str, ...]
    expires_in: float


class Enabled(msgspec.Struct, frozen=True):
    enabled: bool


class Remaining(msgspec.Struct, frozen=True):
    remaining: int


class FactorList(msgspec.Struct, frozen=True):
    totp: Enabled
    recovery_codes: Remaining


class RecoveryCodes(msgspec.Struct, frozen=True):
    recovery_codes: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True):
    items: tuple[ListedSession, ...]


class ListedDevices(msgspec.Struct, frozen=True):
    items: tuple[ListedDevice, ...]


class Revoked(msgspec.Struct, frozen=True):
    revoked: int


class Problem(msgspec.Struct, frozen=True):
    """An error, either as RFC 9457 (`code`, `title`, `errors`) or as RFC 6749 (`error`, `error_description`)."""

    code: str = ""
    title: str = ""
    errors: tuple[FieldProblem, ...] = ()
    error: str = ""
    error_description: str = ""
