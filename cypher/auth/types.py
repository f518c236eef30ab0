"""What the use cases hand to the layer above: the contract's objects, before they are JSON."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec


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
class Health:
    """What the service needs, and whether it is there."""

    postgres: bool
    redis: bool
    migrations: bool
    keys: bool
