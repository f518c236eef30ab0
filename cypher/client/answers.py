"""What the service is sent and what it answers, as structs; unknown fields of an answer are ignored."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from cypher.client.account_answers import ListedDevice
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
