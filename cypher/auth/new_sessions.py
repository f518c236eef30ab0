"""Makes the session that a login ends with: rows in the login's own transaction, then tokens and the cache."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin
from cypher.auth.events import Event
from cypher.auth.known_devices import KnownDevices
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.refresh_tokens import hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.auth.types import Authenticated, aal_of
from cypher.errors import FlowExpired
from cypher.metrics import Metrics
from cypher.repositories import Repositories
from cypher.repositories.refresh_tokens import TokenMetadata
from cypher.repositories.sessions import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lives without use, and at the most."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that was inserted, and the first refresh token of its family."""

    session: Session
    refresh_token: str = field(repr=False)
    refresh_cookie: bool
    device_token: str | None = field(repr=False)


class NewSessions:
    """Insert, commit, hand over."""

    def __init__(
        self,
        *,
        access: AccessTokens,
        living: LivingSessions,
        devices: KnownDevices,
        audit: Audit,
        limits: SessionLimits,
        metrics: Metrics,
    ) -> None:
        self._logins = metrics.logins
        self._access = access
        self._living = living
        self._devices = devices
        self._audit = audit
        self._limits = limits

    async def insert(
        self,
        repos: Repositories,
        begun: BegunLogin,
        amr: tuple[str, ...],
        source: Source,
        *,
        trust_device: bool = False,
    ) -> NewSession:
        """Insert device, session and refresh token; the id drawn at the start makes a second finish raise FlowExpired.

        `trust_device` only after a second factor.
        """
        entry = await self._devices.enter(repos, begun, source, trust=trust_device)
        device = begun.options.device
        session = await repos.sessions.insert_session(
            session_id=begun.session_id,
            user_id=begun.user_id,
            user_agent=source.user_agent,
            amr=amr,
            ip_address=source.address,
            aal=aal_of(amr),
            idle=self._limits.idle,
            absolute=self._limits.absolute,
            device_id=entry.device_id,
            device_fingerprint=device.fingerprint if device else None,
        )
        if session is None:
            raise FlowExpired
        refresh_token = await _insert_refresh_token(repos, begun, source)
        events = (Event.LOGIN_SUCCEEDED, Event.SESSION_CREATED)
        happenings = [
            Happening(event=event, user_id=session.user_id, session_id=session.session_id) for event in events
        ]
        await self._audit.record_all(repos, happenings, source)
        return NewSession(
            session=session,
            refresh_token=refresh_token,
            refresh_cookie=begun.options.refresh_cookie,
            device_token=entry.token,
        )

    async def hand_over(self, new: NewSession, *, read_at: datetime) -> Authenticated:
        """Offer the session to the cache and sign its first access token; call it after the commit.

        `read_at` is a moment before the session was read.
        """
        session = new.session
        # What was proven last: the password, or a factor after it.
        self._logins.labels("success", session.amr[-1]).inc()
        await self._living.remember(session, read_at=read_at)
        return Authenticated(
            session=view_of(session),
            access_token=await self._access.issue(
                user_id=session.user_id, session_id=session.session_id, aal=session.aal, amr=session.amr
            ),
            expires_in=self._access.expires_in,
            refresh_token=new.refresh_token,
            refresh_cookie=new.refresh_cookie,
            device_token=new.device_token,
        )


async def _insert_refresh_token(repos: Repositories, begun: BegunLogin, source: Source) -> str:
    """Insert the first token of the session's family and return it."""
    refresh_token = new_refresh_token()
    await repos.refresh_tokens.insert_first(
        token_hash=hash_token(refresh_token),
        session_id=begun.session_id,
        user_id=begun.user_id,
        metadata=TokenMetadata(ip_address=source.address, user_agent=source.user_agent),
    )
    return refresh_token
