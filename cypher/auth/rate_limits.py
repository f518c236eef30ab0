"""Counts attempts and refuses what is too much; a subject's first refusal in a window goes into the audit trail."""

from collections.abc import Iterable

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.source import Source, bucket_of
from cypher.clock import Clock
from cypher.config.limits import Category, LimitsConfig
from cypher.ephemeral.decisions import Decision, Hit
from cypher.ephemeral.local_windows import LocalWindows
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.errors import RateLimited
from cypher.metrics import Metrics
from cypher.settings import Limit


class RateLimits:
    """The settings applied to a limiter. What is off is not counted."""

    def __init__(
        self, *, limiter: RateLimiter, config: LimitsConfig, audit: Audit, clock: Clock, metrics: Metrics | None = None
    ) -> None:
        self._limiter = limiter
        self._refusals = (metrics or Metrics()).refusals
        self._config = config
        self._audit = audit
        self._bad_tokens = LocalWindows(clock)

    async def admit(
        self, category: Category, identifier: str, source: Source, *, username: str | None = None
    ) -> Hit | None:
        """Count one attempt and return what takes it back; raise RateLimited, having counted nothing.

        `identifier` is in its one canonical form; `username` is for the audit trail.
        """
        limit = self._config.of(category)
        if limit is None:
            return None
        decision = await self._limiter.check_rate_limit(
            identifier=identifier,
            limit=limit.hits,
            window_seconds=limit.seconds,
            category=category,
        )
        if not decision.allowed:
            self._refuse(category, limit, decision, source, username)
        return decision.hit

    async def admit_address(self, category: Category, source: Source) -> None:
        """Count one request of an address; raise RateLimited."""
        await self.admit(category, bucket_of(source.address), source)

    async def admit_bad_token(self, source: Source) -> None:
        """Count a token that was never ours, in this process only; raise RateLimited.

        Good tokens are not counted, however many come from one address. To tell them apart costs no round trip, and
        neither may this.
        """
        category = Category.DEFAULT_ADDRESS
        limit = self._config.of(category)
        if limit is None:
            return
        decision = self._bad_tokens.check(Hit.new(bucket_of(source.address)), limit=limit.hits, window=limit.window)
        if not decision.allowed:
            self._refuse(category, limit, decision, source, None)

    async def take_back(self, hits: Iterable[Hit]) -> None:
        """Forget these attempts and no others, best effort."""
        await self._limiter.take_back(hits)

    def _refuse(
        self, category: Category, limit: Limit, decision: Decision, source: Source, username: str | None
    ) -> None:
        # One entry for a subject and window, not one for each knock: a flood of requests is no flood of rows.
        if decision.first_refusal:
            refused = Happening(
                event=Event.RATE_LIMITED, outcome=Outcome.FAILURE, reason=category.value, username=username
            )
            self._audit.record_failure(refused, source)
        self._refusals.labels(category.value).inc()
        raise RateLimited(
            policy=category.policy, limit=limit.hits, window=limit.window, retry_after=decision.retry_after
        )
