"""Login: OPAQUE in two steps, which may meet two instances.

An unknown name takes the same way as a known one: the same reads, the same cryptography, the same writes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.login_limits import Hits, LoginLimits
from cypher.auth.opaque import OpaqueServer
from cypher.auth.refresh_tokens import hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.auth.types import Authenticated, LoginStarted
from cypher.clock import Clock, new_id
from cypher.crypto.fake import fake_record
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.ephemeral.flows import FlowStore
from cypher.errors import AccountDisabled, AccountLocked, CypherError, FlowExpired, InvalidCredentials
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.refresh_tokens import TokenMetadata
from cypher.repositories.sessions import Session
from cypher.repositories.users import LoginRecord

KIND = "login"
AAL_PASSWORD = 1
AMR_PASSWORD = ("opaque",)


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in Redis between start and finish; `user_id` is None for an unknown name."""

    server_state: bytes
    session_id: UUID
    username: str
    credential_id: bytes
    user_id: UUID | None
    sessions_revoked_at: datetime | None
    hits: Hits  #: what this attempt was counted as


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lives without use, and at the most."""

    idle: timedelta
    absolute: timedelta


class Login:
    """Start, then finish once."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        flows: FlowStore,
        opaque: OpaqueServer,
        ring: KeyRing,
        audit: Audit,
        access: AccessTokens,
        living: LivingSessions,
        clock: Clock,
        limits: SessionLimits,
        attempts: LoginLimits,
        flow_lifetime: timedelta,
    ) -> None:
        self._db = db
        self._flows = flows
        self._opaque = opaque
        self._audit = audit
        self._access = access
        self._living = living
        self._clock = clock
        self._limits = limits
        self._attempts = attempts
        self._flow_lifetime = flow_lifetime
        self._fake_key = ring.first(Purpose.FAKE).secret
        self._fake_setup, self._fake_public_key = opaque.first_setup()

    async def start(self, username: str, ke1: bytes, source: Source) -> LoginStarted:
        """Answer KE1 (96 bytes) with KE2 (320 bytes), for a name that nobody has as well.

        The attempt is counted and recorded here: a client knows after KE2 whether its password was right. Raises
        RateLimited before anything is looked up, so that it says nothing about the name.
        """
        name = usernames.normalise(username)
        # No device is known yet: nobody has been given a device token.
        hits = await self._attempts.admit(name, source, device=None)
        async with self._db.connection() as repos:
            known = await repos.users.find_login_record(name)
            attempted = Happening(event=Event.LOGIN_ATTEMPTED, user_id=known.user_id if known else None, username=name)
            await self._audit.record(repos, attempted, source)
        credentials = self._credentials(name, known)
        begun = await self._opaque.begin_login(
            setup_id=credentials.opaque_setup_id,
            record=credentials.opaque_record,
            credential_id=credentials.opaque_credential_id,
            ke1=ke1,
        )
        pending = PendingLogin(
            server_state=begun.state,
            session_id=new_id(self._clock),
            username=name,
            credential_id=credentials.opaque_credential_id,
            user_id=known.user_id if known else None,
            sessions_revoked_at=known.sessions_revoked_at if known else None,
            hits=hits,
        )
        flow_id = await self._flows.put(KIND, pending, self._flow_lifetime)
        expires_in = int(self._flow_lifetime.total_seconds())
        return LoginStarted(flow_id=flow_id, ke2=begun.ke2, expires_in=expires_in)

    async def finish(self, flow_id: str, ke3: bytes, source: Source) -> Authenticated:
        """Check KE3 (64 bytes) and make a session, at most once for a flow.

        Raises FlowExpired when the flow is used, too old, or began before the password or the account changed;
        InvalidCredentials for a wrong password and for an unknown name alike; AccountDisabled and AccountLocked
        only to who has just proven the password.
        """
        pending = await self._flows.take(KIND, flow_id, PendingLogin)
        if pending is None:
            raise FlowExpired
        proven = self._opaque.proves_password(pending.server_state, ke3)
        if not proven or pending.user_id is None:
            await self._record_refusal(pending, InvalidCredentials.code, source)
            raise InvalidCredentials
        try:
            authenticated = await self._make_session(pending, pending.user_id, source)
        except (AccountDisabled, AccountLocked) as exc:
            await self._record_refusal(pending, exc.code, source)
            raise
        await self._attempts.take_back(pending.hits)
        return authenticated

    def _credentials(self, name: str, known: LoginRecord | None) -> LoginRecord:
        """Choose between the real and the fake record; both are made each time, so that both cost the same."""
        record, credential_id = fake_record(self._fake_key, name, self._fake_public_key)
        fake = LoginRecord(
            user_id=UUID(int=0),
            opaque_record=record,
            opaque_setup_id=self._fake_setup,
            opaque_credential_id=credential_id,
            sessions_revoked_at=None,
        )
        return known or fake

    async def _make_session(self, pending: PendingLogin, user_id: UUID, source: Source) -> Authenticated:
        refresh_token = new_refresh_token()
        began = self._clock.now()
        async with self._db.transaction() as repos:
            await _require_standing(repos, user_id, pending)
            session = await self._insert(repos, pending.session_id, user_id, refresh_token, source)
            for event in (Event.LOGIN_SUCCEEDED, Event.SESSION_CREATED):
                happening = Happening(event=event, user_id=user_id, session_id=session.session_id)
                await self._audit.record(repos, happening, source)
        await self._living.remember(session, read_at=began)
        return Authenticated(
            session=view_of(session),
            access_token=await self._access.issue(
                user_id=user_id, session_id=session.session_id, aal=session.aal, amr=session.amr
            ),
            expires_in=self._access.expires_in,
            refresh_token=refresh_token,
        )

    async def _insert(
        self, repos: Repositories, session_id: UUID, user_id: UUID, refresh_token: str, source: Source
    ) -> Session:
        """Insert session and refresh token; the id drawn at the start makes a second finish fail here."""
        inserted = await repos.sessions.insert_session(
            session_id=session_id,
            user_id=user_id,
            user_agent=source.user_agent,
            amr=AMR_PASSWORD,
            ip_address=source.address,
            aal=AAL_PASSWORD,
            idle=self._limits.idle,
            absolute=self._limits.absolute,
        )
        if not inserted:
            raise FlowExpired
        await repos.refresh_tokens.insert_first(
            token_hash=hash_token(refresh_token),
            session_id=session_id,
            user_id=user_id,
            metadata=TokenMetadata(ip_address=source.address, user_agent=source.user_agent),
        )
        await repos.users.set_last_login(user_id)
        session = await repos.sessions.get_session(session_id)
        if session is None:
            raise FlowExpired
        return session

    async def _record_refusal(self, pending: PendingLogin, reason: str, source: Source) -> None:
        failed = Happening(
            event=Event.LOGIN_FAILED,
            outcome=Outcome.FAILURE,
            reason=reason,
            user_id=pending.user_id,
            username=pending.username,
        )
        await self._audit.record_failure(self._db, failed, source)


async def _require_standing(repos: Repositories, user_id: UUID, pending: PendingLogin) -> None:
    """Lock the user's row and refuse what changed since the flow began."""
    standing = await repos.users.lock_standing(user_id, pending.credential_id, pending.sessions_revoked_at)
    refusal: type[CypherError] | None = None
    if standing is None or not standing.current:
        refusal = FlowExpired
    elif not standing.is_active:
        refusal = AccountDisabled
    elif standing.locked:
        refusal = AccountLocked
    if refusal:
        raise refusal
