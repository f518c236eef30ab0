"""Re-authentication: the owner of a living session proves the password again, for what asks for a fresh proof."""

from datetime import timedelta
from uuid import UUID

import msgspec

from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin, require_standing, require_unfinished
from cypher.auth.events import Event, Outcome
from cypher.auth.login_limits import LoginLimits
from cypher.auth.mfa import SecondStep
from cypher.auth.opaque import OpaqueServer
from cypher.auth.renewals import Renewals
from cypher.auth.source import Source
from cypher.auth.types import AMR_PASSWORD, LoginStarted, MfaRequired, Reauthenticated, SessionView
from cypher.ephemeral.flows import FlowStore
from cypher.errors import AccountDisabled, AccountLocked, FlowExpired, InvalidCredentials, SessionExpired
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.sessions import Session

KIND = "reauthentication"


class PendingReauthentication(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in Redis between start and finish."""

    server_state: bytes
    begun: BegunLogin


class Reauthentication:
    """Start, then finish once."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        flows: FlowStore,
        opaque: OpaqueServer,
        audit: Audit,
        renewals: Renewals,
        second_step: SecondStep,
        attempts: LoginLimits,
        flow_lifetime: timedelta,
    ) -> None:
        self._db = db
        self._flows = flows
        self._opaque = opaque
        self._audit = audit
        self._renewals = renewals
        self._second_step = second_step
        self._attempts = attempts
        self._flow_lifetime = flow_lifetime

    async def start(self, session: SessionView, ke1: bytes, source: Source) -> LoginStarted:
        """Answer KE1 (96 bytes) with KE2 (320 bytes) for the session's own person.

        The attempt is counted, as one to log in from the session's device, and recorded here: a client knows after KE2
        whether its password was right. Raises RateLimited.
        """

        async def device() -> UUID | None:
            return session.device_id

        hits = await self._attempts.admit(session.username, source, device)
        async with self._db.connection() as repos:
            current = await repos.sessions.get_session(session.id)
            record = await repos.users.get_login_record(session.user_id)
            if current is None or record is None:
                raise SessionExpired
        attempted = Happening(event=Event.REAUTHENTICATION_ATTEMPTED, user_id=session.user_id, session_id=session.id)
        self._audit.record_failure(attempted, source)
        began = await self._opaque.begin_login(
            setup_id=record.opaque_setup_id,
            record=record.opaque_record,
            credential_id=record.oprf_id,
            ke1=ke1,
        )
        begun = BegunLogin(
            session_id=session.id,
            authenticated_at=current.authenticated_at,
            user_id=session.user_id,
            credential_id=record.opaque_credential_id,
            sessions_revoked_at=record.sessions_revoked_at,
            hits=hits,
        )
        pending = PendingReauthentication(server_state=began.state, begun=begun)
        flow_id = await self._flows.put(KIND, pending, self._flow_lifetime)
        return LoginStarted(flow_id=flow_id, ke2=began.ke2, expires_in=int(self._flow_lifetime.total_seconds()))

    async def finish(
        self, session: SessionView, flow_id: str, ke3: bytes, source: Source
    ) -> Reauthenticated | MfaRequired:
        """Check KE3 (64 bytes) and renew the session's proof, or ask for the second factor first.

        Raises FlowExpired, also for a flow of another session; InvalidCredentials; AccountDisabled and AccountLocked.
        """
        pending = await self._flows.take(KIND, flow_id, PendingReauthentication)
        if pending is None or pending.begun.session_id != session.id:
            raise FlowExpired
        if not self._opaque.proves_password(pending.server_state, ke3):
            self._record_refusal(pending.begun, InvalidCredentials.code, source)
            raise InvalidCredentials
        try:
            renewed = await self._renew(pending.begun, source)
        except (AccountDisabled, AccountLocked) as exc:
            self._record_refusal(pending.begun, exc.code, source)
            raise
        if renewed is None:
            return await self._second_step.ask(pending.begun)
        await self._attempts.take_back(pending.begun.hits)
        return await self._renewals.hand_over(renewed)

    async def _renew(self, begun: BegunLogin, source: Source) -> Session | None:
        """Return the renewed session, or None when a factor must be proven first."""
        async with self._db.transaction() as repos:
            standing = await require_standing(repos, begun)
            if standing.totp_enabled:
                await self._second_step.record_asked(repos, begun, source)
                return None
            session = await require_unfinished(repos, begun)
            if session is None:
                raise FlowExpired
            return await self._renewals.renew(repos, session, AMR_PASSWORD, source)

    def _record_refusal(self, begun: BegunLogin, reason: str, source: Source) -> None:
        refused = Happening(
            event=Event.REAUTHENTICATION_FAILED,
            outcome=Outcome.FAILURE,
            reason=reason,
            user_id=begun.user_id,
            session_id=begun.session_id,
        )
        self._audit.record_failure(refused, source)
