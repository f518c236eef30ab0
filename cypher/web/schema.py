"""The bodies of requests and answers. Each struct is one object of the HTTP contract.

An answer shows all of its fields, also those with a default; only what is UNSET is left out.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cypher.auth.opaque import (
    KE1,
    KE2,
    KE3,
    PUBLIC_KEY,
    REGISTRATION_RECORD,
    REGISTRATION_REQUEST,
    REGISTRATION_RESPONSE,
)
from cypher.auth.types import Jwk, SentDevice, SessionView

Seconds = Annotated[int, Meta(description="Seconds.")]


#: What the last character may be, by how many bytes go beyond a multiple of three: no bit is set beyond the last byte.
LAST_CHARACTER = {0: "[A-Za-z0-9_-]", 1: "[AQgw]", 2: "[AEIMQUYcgkosw048]"}


def base64url(octets: int) -> Meta:
    """Describe an OPAQUE message of that many bytes; what checks it is `encoding.opaque_message`."""
    length = -(-octets * 4 // 3)
    form = {
        "pattern": f"^[A-Za-z0-9_-]{{{length - 1}}}{LAST_CHARACTER[octets % 3]}$",
        "minLength": length,
        "maxLength": length,
    }
    return Meta(description=f"{octets} bytes in base64url without padding.", extra_json_schema=form)


# -- requests -----------------------------------------------------------------------------------------------


class RegistrationStart(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    registration_request: Annotated[str, base64url(REGISTRATION_REQUEST)]


class RegistrationFinish(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    registration_record: Annotated[str, base64url(REGISTRATION_RECORD)]


class LoginStart(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    ke1: Annotated[str, base64url(KE1)]
    device_token: str | None = None


class ReauthenticationFinish(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    ke3: Annotated[str, base64url(KE3)]


class LoginFinish(ReauthenticationFinish, frozen=True, kw_only=True):
    device: SentDevice | None = None
    refresh_cookie: bool = False


class SessionsToEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The query of DELETE /v1/sessions."""

    scope: Literal["others", "all"]


class LoginMfa(msgspec.Struct, frozen=True, kw_only=True):
    mfa_token: str
    method: Literal["totp", "recovery_code"]
    code: str
    trust_device: bool = False


class ReauthenticationStart(msgspec.Struct, frozen=True, kw_only=True):
    ke1: Annotated[str, base64url(KE1)]


class TotpConfirm(msgspec.Struct, frozen=True, kw_only=True):
    code: str


class TokenForm(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 6749, section 6."""

    grant_type: str
    refresh_token: str | None = None


class TokenOnlyForm(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 7009, section 2.1, and RFC 7662, section 2.1; hints about the token's type are ignored."""

    token: str


# -- answers ------------------------------------------------------------------------------------------------


class KeyStretching(msgspec.Struct, frozen=True, kw_only=True):
    """What the client does to the password inside OPAQUE: fixed, so that every client library agrees."""

    name: Literal["argon2id"] = "argon2id"
    memory_kib: int = 19456
    iterations: int = 2
    parallelism: int = 1


class OpaqueParameters(msgspec.Struct, frozen=True, kw_only=True):
    server_public_key: Annotated[str, base64url(PUBLIC_KEY)]
    suite: str = "ristretto255-SHA512"
    ksf: KeyStretching = KeyStretching()


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    opaque: OpaqueParameters
    registration: Literal["open", "closed"]


class RegistrationStarted(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    registration_response: Annotated[str, base64url(REGISTRATION_RESPONSE)]
    expires_in: Seconds


class RegisteredUser(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    username: str
    created_at: datetime


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    user: RegisteredUser


class LoginStarted(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    ke2: Annotated[str, base64url(KE2)]
    expires_in: Seconds


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """The refresh token comes in the cookie instead where that was asked for."""

    session: SessionView
    access_token: str
    expires_in: Seconds
    refresh_token: str | UnsetType = UNSET
    device_token: str | UnsetType = UNSET
    status: Literal["authenticated"] = "authenticated"
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105


class MfaRequired(msgspec.Struct, frozen=True, kw_only=True):
    mfa_token: str
    expires_in: Seconds
    factors: tuple[str, ...] = ("totp", "recovery_code")
    status: Literal["mfa_required"] = "mfa_required"


class Reauthenticated(msgspec.Struct, frozen=True, kw_only=True):
    """The same session, proven again; its refresh token goes on."""

    session: SessionView
    access_token: str
    expires_in: Seconds
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105


class TotpState(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool


class RecoveryCodesState(msgspec.Struct, frozen=True, kw_only=True):
    remaining: int


class FactorList(msgspec.Struct, frozen=True, kw_only=True):
    totp: TotpState
    recovery_codes: RecoveryCodesState


class TotpEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    """Shown once."""

    secret: str  #: base32, 32 characters
    otpauth_uri: str
    qr_svg: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Ten, shown once."""

    recovery_codes: tuple[str, ...]


class SessionItem(SessionView, frozen=True, kw_only=True):
    """A session in its owner's list."""

    current: bool
    last_seen_at: datetime
    ip_address: str
    user_agent: str


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[SessionItem]


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    revoked: int


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 6749, section 5.1."""

    access_token: str
    expires_in: Seconds
    refresh_token: str | UnsetType = UNSET
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105


class ActiveToken(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 7662, section 2.2."""

    sub: UUID
    sid: UUID
    jti: str
    exp: Annotated[int, Meta(description="Seconds since 1970.")]
    aal: int
    amr: tuple[str, ...]
    active: Literal[True] = True


class InactiveToken(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every token that is not active: the answer says nothing about why."""

    active: Literal[False] = False


class JwkSet(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 7517, section 5."""

    keys: list[Jwk]


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok", "degraded", "not ready"]
    postgres: bool
    redis: bool
    migrations: bool
    keys: bool


# -- errors -------------------------------------------------------------------------------------------------


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    pointer: str
    code: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    errors: tuple[FieldProblem, ...] | UnsetType = UNSET


class OAuthError(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str
