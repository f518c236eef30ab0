"""Makes the session that a login ends with: its rows in one statement, then tokens and the cache."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin, require_good
from cypher.auth.events import Event
from cypher.auth.known_devices import Entry, KnownDevices
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.refresh_tokens import hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.auth.types import Authenticated, aal_of
from cypher.errors import FlowExpired
from cypher.metrics import Metrics
from cypher.repositories import Repositories
from cypher.repositories.audit_subjects import FoundSecret
from cypher.repositories.sessions import ProvenLogin, Session


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
        """Insert device, session and refresh token, in the transaction that has found the person's standing good.

        The id drawn at the start makes a second finish raise FlowExpired. `trust_device` only after a second factor.
        """
        entry = await self._devices.enter(repos, begun, source, trust=trust_device)
        inserted = await self._insert(repos, begun, amr, source, entry)
        if inserted is None:
            raise FlowExpired
        return inserted

    async def insert_at_once(
        self, repos: Repositories, begun: BegunLogin, amr: tuple[str, ...], source: Source
    ) -> NewSession | None:
        """Insert the session of somebody without a device and a second factor by one statement, without a transaction.

        None, and nothing inserted, where it takes one, as for somebody who has a factor by now. Raises FlowExpired,
        AccountDisabled or AccountLocked.
        """
        secret = await repos.audit_subjects.find_secret(begun.user_id)
        if secret is None:
            return None
        entry = Entry(device_id=None, token=None)
        return await self._insert(repos, begun, amr, source, entry, at_once=secret)

    async def _insert(
        self,
        repos: Repositories,
        begun: BegunLogin,
        amr: tuple[str, ...],
        source: Source,
        entry: Entry,
        *,
        at_once: FoundSecret | None = None,
    ) -> NewSession | None:
        refresh_token = new_refresh_token()
        login = self._proven(begun, amr, source, entry, hash_token(refresh_token))
        events = (Event.LOGIN_SUCCEEDED, Event.SESSION_CREATED)
        happenings = [Happening(event=event, user_id=begun.user_id, session_id=begun.session_id) for event in events]
        secrets = {begun.user_id: at_once.secret} if at_once else None
        async with self._audit.sealed(repos, happenings, source, secrets) as entries:
            inserted = await repos.sessions.insert_session(login, entries, at_once.found_at if at_once else None)
        if inserted is None:
            raise FlowExpired
        require_good(inserted.standing)
        if inserted.session is None:
            return None
        return NewSession(
            session=inserted.session,
            refresh_token=refresh_token,
            refresh_cookie=begun.options.refresh_cookie,
            device_token=entry.token,
        )

    def _proven(
        self,
        begun: BegunLogin,
        amr: tuple[str, ...],
        source: Source,
        entry: Entry,
        token_hash: bytes,
    ) -> ProvenLogin:
        device = begun.options.device
        return ProvenLogin(
            session_id=begun.session_id,
            user_id=begun.user_id,
            credential_id=begun.credential_id,
            sessions_revoked_at=begun.sessions_revoked_at,
            user_agent=source.user_agent,
            amr=amr,
            ip_address=source.address,
            aal=aal_of(amr),
            idle=self._limits.idle,
            absolute=self._limits.absolute,
            device_id=entry.device_id,
            device_fingerprint=device.fingerprint if device else None,
            token_hash=token_hash,
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
