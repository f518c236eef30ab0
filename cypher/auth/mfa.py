"""The second step, after a right password: a code, and then the session.

The token opens nothing but this step. It may be tried again after a wrong code, and works once.
"""

from contextlib import suppress
from datetime import timedelta

from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin, require_good, require_standing, require_unfinished
from cypher.auth.events import Event, Outcome
from cypher.auth.login_limits import LoginLimits
from cypher.auth.new_sessions import NewSession, NewSessions
from cypher.auth.proven_logins import Ending, ProvenLogins
from cypher.auth.renewals import Renewals
from cypher.auth.second_factor import Method, Presented, Refusal, SecondFactor
from cypher.auth.source import Source
from cypher.auth.types import AMR_PASSWORD, Authenticated, MfaRequired, Reauthenticated
from cypher.clock import Clock
from cypher.ephemeral.flows import FlowStore
from cypher.errors import (
    AccountDisabled,
    AccountLocked,
    FactorLocked,
    FieldError,
    FlowExpired,
    MfaFailed,
    RedisUnavailable,
    ValidationFailed,
)
from cypher.metrics import Metrics
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.sessions import Session

KIND = "mfa"


class SecondStep:
    """Ask, then finish once."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        flows: FlowStore,
        factor: SecondFactor,
        proven: ProvenLogins,
        new: NewSessions,
        renewals: Renewals,
        attempts: LoginLimits,
        audit: Audit,
        clock: Clock,
        flow_lifetime: timedelta,
        metrics: Metrics,
    ) -> None:
        self._logins = metrics.logins
        self._db = db
        self._flows = flows
        self._factor = factor
        self._proven = proven
        self._new = new
        self._renewals = renewals
        self._attempts = attempts
        self._audit = audit
        self._clock = clock
        self._flow_lifetime = flow_lifetime

    async def record_asked(self, repos: Repositories, begun: BegunLogin, source: Source) -> None:
        """Record that the password was right and does not do alone; call it in the transaction that found so."""
        await self._proven.end(repos, _asking(begun, source))

    async def ask_at_once(self, begun: BegunLogin, source: Source) -> MfaRequired | None:
        """Record and keep it for somebody who showed no device, together with others; None where that needs more steps.

        Raises FlowExpired, AccountDisabled or AccountLocked.
        """
        ended = await self._proven.end_at_once(_asking(begun, source))
        if ended is None:
            return None
        require_good(ended.standing)
        return await self.ask(begun) if ended.asked else None

    async def ask(self, begun: BegunLogin) -> MfaRequired:
        """Keep what was begun for a code to finish it; call it after the commit."""
        mfa_token = await self._flows.put(KIND, begun, self._flow_lifetime)
        return MfaRequired(mfa_token=mfa_token, expires_in=int(self._flow_lifetime.total_seconds()))

    async def finish(
        self, mfa_token: str, method: Method, code: str, source: Source, *, trust_device: bool
    ) -> Authenticated | Reauthenticated:
        """Check a code and make the session, or prove the living one again.

        `trust_device` lets the device that the login named skip this step for a while. Raises FlowExpired when the
        token is used, unknown or too old, or something changed since the password; ValidationFailed, with the code
        unused, when there is no device to trust; MfaFailed for a code that is wrong or was used; FactorLocked after
        too many of those; AccountDisabled and AccountLocked.
        """
        begun = await self._flows.peek(KIND, mfa_token, BegunLogin)
        if begun is None:
            raise FlowExpired
        if trust_device and begun.options.device is None:
            raise ValidationFailed([FieldError("/trust_device", "no_device")])
        read_at = self._clock.now()
        presented = Presented(user_id=begun.user_id, session_id=begun.session_id, method=method, code=code)
        try:
            outcome = await self._decide(begun, presented, source, trust_device=trust_device)
        except (AccountDisabled, AccountLocked) as exc:
            self._record_refusal(begun, exc.code, source)
            self._count_refusal(begun, exc.code, method)
            raise
        if isinstance(outcome, MfaFailed | FactorLocked):
            self._count_refusal(begun, outcome.code, method)
            raise outcome
        with suppress(RedisUnavailable):  # without this it cannot finish again either: see `require_unfinished`
            await self._flows.end(KIND, mfa_token)
        await self._attempts.take_back(begun.hits)
        if isinstance(outcome, NewSession):
            return await self._new.hand_over(outcome, read_at=read_at)
        return await self._renewals.hand_over(outcome)

    async def _decide(
        self, begun: BegunLogin, presented: Presented, source: Source, *, trust_device: bool
    ) -> NewSession | Session | Refusal:
        async with self._db.transaction() as repos:
            standing = await require_standing(repos, begun)
            if not standing.totp_enabled:  # it was taken away meanwhile: what is asked for now is another login
                raise FlowExpired
            session = await require_unfinished(repos, begun)
            refusal = await self._factor.check(repos, presented, source)
            if refusal is not None:
                return refusal
            amr = (*AMR_PASSWORD, presented.method)
            if session is None:
                return await self._new.insert(repos, begun, amr, source, trust_device=trust_device)
            return await self._renewals.renew(repos, session, amr, source)

    def _count_refusal(self, begun: BegunLogin, code: str, method: Method) -> None:
        if begun.authenticated_at is None:
            self._logins.labels(code, method).inc()

    def _record_refusal(self, begun: BegunLogin, reason: str, source: Source) -> None:
        refused = Happening(
            event=Event.LOGIN_FAILED if begun.authenticated_at is None else Event.REAUTHENTICATION_FAILED,
            outcome=Outcome.FAILURE,
            reason=reason,
            user_id=begun.user_id,
            session_id=begun.session_id,
        )
        self._audit.record_failure(refused, source)


def _asking(begun: BegunLogin, source: Source) -> Ending:
    return Ending(begun=begun, amr=AMR_PASSWORD, source=source, asks=True)
