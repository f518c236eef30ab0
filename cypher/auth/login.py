"""Login: OPAQUE in two steps, which may meet two instances.

An unknown name takes the same way as a known one: the same reads, the same cryptography, the same writes.
"""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin, LoginOptions, require_standing
from cypher.auth.device_tokens import hash_of_shown
from cypher.auth.events import Event, Outcome
from cypher.auth.known_devices import KnownDevices
from cypher.auth.login_limits import Hits, LoginLimits
from cypher.auth.mfa import SecondStep
from cypher.auth.new_sessions import NewSession, NewSessions
from cypher.auth.opaque import OpaqueServer
from cypher.auth.source import Source
from cypher.auth.types import AMR_PASSWORD, Authenticated, LoginStarted, MfaRequired
from cypher.clock import Clock, new_id
from cypher.crypto.fake import fake_record
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.ephemeral.flows import FlowStore
from cypher.errors import AccountDisabled, AccountLocked, FlowExpired, InvalidCredentials
from cypher.metrics import Metrics
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.users import LoginRecord, OpenRecord
from cypher.shared_calls import SharedCalls

KIND = "login"
#: Names that one statement looks for, and statements at once.
FOUND_TOGETHER = 100
FINDS = 3


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in Redis between start and finish; `user_id` is None for an unknown name."""

    server_state: bytes
    session_id: UUID
    username: str
    credential_id: bytes
    user_id: UUID | None
    sessions_revoked_at: datetime | None
    totp_enabled: bool
    hits: Hits  #: what this attempt was counted as
    device_token_hash: bytes | None


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
        new: NewSessions,
        second_step: SecondStep,
        clock: Clock,
        attempts: LoginLimits,
        devices: KnownDevices,
        flow_lifetime: timedelta,
        metrics: Metrics,
    ) -> None:
        self._logins = metrics.logins
        self._db = db
        self._flows = flows
        self._opaque = opaque
        self._audit = audit
        self._new = new
        self._second_step = second_step
        self._clock = clock
        self._attempts = attempts
        self._devices = devices
        self._flow_lifetime = flow_lifetime
        self._records = SharedCalls(self._find, most=FOUND_TOGETHER, turns=FINDS)
        self._fake_key = ring.first(Purpose.FAKE).secret
        self._fake_setup, self._fake_public_key = opaque.first_setup()

    async def start(self, username: str, ke1: bytes, source: Source, device_token: str | None = None) -> LoginStarted:
        """Answer KE1 (96 bytes) with KE2 (320 bytes), for a name that nobody has as well.

        The attempt is counted and recorded here: a client knows after KE2 whether its password was right. Raises
        RateLimited before the name is looked up, so that it says nothing about it. A device token that is good for
        this name's owner moves the attempt to that device's budget; any other is as good as none.
        """
        name, token_hash = usernames.normalise(username), hash_of_shown(device_token)
        find = partial(self._devices.find, name, token_hash) if token_hash else None
        hits = await self._attempts.admit(name, source, device=find)
        open_record = await self._records.get(name)
        known = await open_record() if open_record else None
        attempted = Happening(event=Event.LOGIN_ATTEMPTED, user_id=known.user_id if known else None, username=name)
        self._audit.record_failure(attempted, source)
        credentials = self._credentials(name, known)
        begun = await self._opaque.begin_login(
            setup_id=credentials.opaque_setup_id,
            record=credentials.opaque_record,
            credential_id=credentials.oprf_id,
            ke1=ke1,
        )
        pending = PendingLogin(
            server_state=begun.state,
            session_id=new_id(self._clock),
            username=name,
            credential_id=credentials.opaque_credential_id,
            user_id=known.user_id if known else None,
            sessions_revoked_at=known.sessions_revoked_at if known else None,
            totp_enabled=known.totp_enabled if known else False,
            hits=hits,
            device_token_hash=token_hash,
        )
        flow_id = await self._flows.put(KIND, pending, self._flow_lifetime)
        expires_in = int(self._flow_lifetime.total_seconds())
        return LoginStarted(flow_id=flow_id, ke2=begun.ke2, expires_in=expires_in)

    async def finish(
        self, flow_id: str, ke3: bytes, source: Source, options: LoginOptions
    ) -> Authenticated | MfaRequired:
        """Check KE3 (64 bytes) and make a session, at most once for a flow, or ask for the second factor first.

        Raises FlowExpired when the flow is used, too old, or began before the password or the account changed;
        InvalidCredentials for a wrong password and for an unknown name alike; AccountDisabled and AccountLocked
        only to who has just proven the password.
        """
        pending = await self._flows.take(KIND, flow_id, PendingLogin)
        if pending is None:
            raise FlowExpired
        proven = self._opaque.proves_password(pending.server_state, ke3)
        if not proven or pending.user_id is None:
            self._record_refusal(pending, InvalidCredentials.code, source)
            raise InvalidCredentials
        begun = BegunLogin(
            session_id=pending.session_id,
            authenticated_at=None,
            user_id=pending.user_id,
            credential_id=pending.credential_id,
            sessions_revoked_at=pending.sessions_revoked_at,
            hits=pending.hits,
            device_token_hash=pending.device_token_hash,
            options=options,
        )
        try:
            ended = None if begun.has_device else await self._end_at_once(begun, source, asks=pending.totp_enabled)
            outcome = ended or await self._go_on(begun, source)
        except (AccountDisabled, AccountLocked) as exc:
            self._record_refusal(pending, exc.code, source)
            raise
        if isinstance(outcome, Authenticated):
            await self._attempts.take_back(pending.hits)
        return outcome

    async def _find(self, names: list[str]) -> dict[str, OpenRecord]:
        async with self._db.connection() as repos:
            return await repos.users.find_login_records(names)

    def _credentials(self, name: str, known: LoginRecord | None) -> LoginRecord:
        """Choose between the real and the fake record; both are made each time, so that both cost the same."""
        record, credential_id = fake_record(self._fake_key, name, self._fake_public_key)
        fake = LoginRecord(
            user_id=UUID(int=0),
            opaque_record=record,
            opaque_setup_id=self._fake_setup,
            opaque_credential_id=credential_id,
            oprf_id=credential_id,
            sessions_revoked_at=None,
            totp_enabled=False,
        )
        return known or fake

    async def _end_at_once(
        self, begun: BegunLogin, source: Source, *, asks: bool
    ) -> Authenticated | MfaRequired | None:
        """Make the session, or ask for the second factor, of who shows no device; None where it takes more steps."""
        if asks:
            return await self._second_step.ask_at_once(begun, source)
        read_at = self._clock.now()
        new = await self._new.insert_at_once(begun, AMR_PASSWORD, source)
        return await self._new.hand_over(new, read_at=read_at) if new else None

    async def _go_on(self, begun: BegunLogin, source: Source) -> Authenticated | MfaRequired:
        """Ask for the second factor, unless the device skips it or it was taken away meanwhile."""
        read_at = self._clock.now()
        new: NewSession | None = None
        async with self._db.transaction() as repos:
            standing = await require_standing(repos, begun)
            if standing.totp_enabled and not await self._devices.skips_factor(repos, begun, source):
                await self._second_step.record_asked(repos, begun, source)
            else:
                new = await self._new.insert(repos, begun, AMR_PASSWORD, source)
        if new is None:
            return await self._second_step.ask(begun)
        return await self._new.hand_over(new, read_at=read_at)

    def _record_refusal(self, pending: PendingLogin, reason: str, source: Source) -> None:
        self._logins.labels(reason, *AMR_PASSWORD).inc()
        failed = Happening(
            event=Event.LOGIN_FAILED,
            outcome=Outcome.FAILURE,
            reason=reason,
            user_id=pending.user_id,
            username=pending.username,
        )
        self._audit.record_failure(failed, source)
