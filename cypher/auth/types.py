"""What the use cases hand to the layer above: the contract's objects, before they are JSON."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cypher.repositories.devices import Device, DeviceInfo


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its owner and the services behind see it."""

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


#: How a password is named in `amr`; a second factor follows it.
AMR_PASSWORD = ("opaque",)


def aal_of(amr: tuple[str, ...]) -> int:
    """Return the assurance level of what was proven: 2 for the password and something else besides."""
    return 2 if len(amr) > 1 else 1


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of an access token (RFC 9068) that Cypher goes by."""

    sub: UUID
    sid: UUID
    jti: str
    iat: int
    exp: int
    aal: int
    amr: tuple[str, ...]


class Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """A public Ed25519 key (RFC 8037)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


DeviceName = Annotated[str, Meta(min_length=1, max_length=100)]


class SentDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of the device that it logs in from. Nothing of it proves anything."""

    fingerprint: Annotated[str, Meta(min_length=1, max_length=255)]  #: of whatever the client makes it
    name: DeviceName | None = None
    info: DeviceInfo | None = None


class DeviceChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be another way. Trust can be ended here and not be given: that takes a second factor."""

    name: DeviceName | UnsetType = UNSET
    trusted: Literal[False] | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationStarted:
    """The answer to `registration/start`; the response has 64 bytes."""

    flow_id: str
    registration_response: bytes
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStarted:
    """The answer to `login/start`; KE2 has 320 bytes."""

    flow_id: str
    ke2: bytes
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A new session and its tokens."""

    session: SessionView
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_cookie: bool  #: whether the client wants the refresh token as a cookie
    device_token: str | None = field(repr=False)  #: for a login that named its device


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaRequired:
    """The password was right, and a second factor is enrolled: nothing is open yet."""

    mfa_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reauthenticated:
    """The same session, proven again, and an access token that says so; its refresh token goes on."""

    session: SessionView
    access_token: str
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpEnrolment:
    """What an authenticator app is given, once; all three hold the secret."""

    secret: str = field(repr=False)  #: base32
    otpauth_uri: str = field(repr=False)
    qr_svg: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A new access token and the refresh token that follows the one sent."""

    access_token: str
    expires_in: int
    refresh_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """A living session and the access token that named it."""

    session: SessionView
    claims: AccessClaims


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSession:
    """One row of a person's list of sessions."""

    session: SessionView
    current: bool
    last_seen_at: datetime
    ip_address: str
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDevice:
    """One row of a person's list of devices."""

    device: Device
    current: bool  #: the session that asks is of this device


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the service needs, and whether it is there."""

    postgres: bool
    redis: bool
    migrations: bool
    keys: bool
