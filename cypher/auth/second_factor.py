"""Checks a code, once and no more often than the limits allow, inside the transaction that acts on it.

A wrong code is counted when that transaction commits: so a refusal is returned, and raised after the commit. Whatever
rolls the count back withholds the answer as well, so that nobody learns anything from an attempt that does not count.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from uuid import UUID

from cypher.auth import recovery_codes, totp
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.source import Source
from cypher.clock import Clock, new_id
from cypher.config.factors import FactorLimits
from cypher.errors import FactorLocked, MfaFailed
from cypher.repositories import Repositories
from cypher.repositories.factors import Attempt
from cypher.settings import Limit

Method = Literal["totp", "recovery_code"]
Refusal = MfaFailed | FactorLocked
Accept = Callable[[Repositories, Attempt, str], Awaitable[bool]]

#: What a client is told to wait for a factor that only an operator can bring back.
FOR_THE_OPERATOR = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A code that somebody sends: for whose account, on which session."""

    user_id: UUID
    session_id: UUID
    method: Method
    code: str = field(repr=False)


class SecondFactor:
    """TOTP and recovery codes, behind one set of counters for an account."""

    def __init__(self, *, audit: Audit, clock: Clock, limits: FactorLimits) -> None:
        self._audit = audit
        self._clock = clock
        self._limits = limits

    async def check(self, repos: Repositories, presented: Presented, source: Source) -> Refusal | None:
        """Use up a right code of an enrolled factor; return why not otherwise. Hold the person's row before."""
        accept = self._use_step if presented.method == "totp" else self._use_recovery_code
        refusal = await self._attempt(repos, presented, source, accept)
        if refusal is None and presented.method == "recovery_code":
            await self._record(repos, presented, source, Event.RECOVERY_CODE_USED)
        return refusal

    async def confirm(self, repos: Repositories, presented: Presented, source: Source) -> Refusal | None:
        """Enrol the factor that waits for its first code; return why not otherwise. Hold the person's row before."""
        return await self._attempt(repos, presented, source, self._enable)

    async def _attempt(
        self, repos: Repositories, presented: Presented, source: Source, accept: Accept
    ) -> Refusal | None:
        attempt = await repos.factors.insert_attempt(new_id(self._clock), presented.user_id, self._limits)
        if attempt.admitted and await accept(repos, attempt, presented.code):
            return None
        refusal = MfaFailed() if attempt.admitted else self._locked(attempt)
        await self._record(repos, presented, source, Event.FACTOR_FAILED, refusal.code)
        if attempt.in_a_row >= self._limits.total:
            await self._record(repos, presented, source, Event.FACTOR_DISABLED, refusal.code)
        return refusal

    async def _use_step(self, repos: Repositories, attempt: Attempt, code: str) -> bool:
        step = await self._step(attempt, code)
        return step is not None and await repos.factors.use_step(attempt, step)

    async def _enable(self, repos: Repositories, attempt: Attempt, code: str) -> bool:
        step = await self._step(attempt, code)
        return step is not None and await repos.factors.enable_totp(attempt, step)

    async def _step(self, attempt: Attempt, code: str) -> int | None:
        if attempt.open_secret is None:
            return None
        return totp.step_of(await attempt.open_secret(), code, self._clock.now())

    async def _use_recovery_code(self, repos: Repositories, attempt: Attempt, code: str) -> bool:
        read = recovery_codes.read(code)
        return read is not None and await repos.factors.use_recovery_code(attempt, recovery_codes.hash_code(read))

    def _locked(self, attempt: Attempt) -> FactorLocked:
        full = attempt.full or Limit(hits=self._limits.total, window=FOR_THE_OPERATOR)
        wait = attempt.wait if attempt.full else FOR_THE_OPERATOR
        return FactorLocked(policy="factor", limit=full.hits, window=full.window, retry_after=wait)

    async def _record(
        self, repos: Repositories, presented: Presented, source: Source, event: Event, reason: str | None = None
    ) -> None:
        happening = Happening(
            event=event,
            outcome=Outcome.FAILURE if reason else Outcome.SUCCESS,
            reason=reason,
            user_id=presented.user_id,
            session_id=presented.session_id,
            note=presented.method,
        )
        await self._audit.record(repos, happening, source)
