"""What a running service tells of itself: what its processes have counted, and what the database and the keys say."""

import asyncio

from cypher.auth.audit import Audit
from cypher.auth.health import HealthCheck
from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.errors import Unavailable
from cypher.metrics import Fact, Metrics
from cypher.postgres import Database
from cypher.repositories import Repositories

#: What is there now is written down so often, for whoever asks another process.
PAUSE_SECONDS = 1.0


class Measuring:
    """Looks at what one process has open."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        db: Database[Repositories],
        upkeep: Database[Repositories],
        ring: KeyRing,
        audit: Audit,
        health: HealthCheck,
        clock: Clock,
        operations_limit: int,
    ) -> None:
        self._metrics = metrics
        self._pools = {"requests": db, "upkeep": upkeep}
        self._ring = ring
        self._audit = audit
        self._health = health
        self._clock = clock
        self._operations_limit = operations_limit

    async def sample(self) -> None:
        """Write down what is there now in this process."""
        self._metrics.processes.set(1)
        self._metrics.held.set(self._audit.held)
        for name, pool in self._pools.items():
            self._metrics.connections.labels(name, "lent").set(pool.lent)
            self._metrics.connections.labels(name, "most").set(pool.most)

    async def exposition(self) -> bytes:
        """Return everything as Prometheus reads it; what cannot be asked now is left out."""
        await self.sample()
        health, stored = await asyncio.gather(self._look(), self._stored())
        return self._metrics.exposition([health, *self._keys(), *stored])

    async def _look(self) -> Fact:
        health = await self._health.check()
        found = {name: getattr(health, name) for name in ("postgres", "redis", "migrations", "keys")}
        return Fact(
            name="cypher_dependency_up",
            about="Whether it is there, as /health/ready says",
            labels=("dependency",),
            values={(name,): float(is_there) for name, is_there in found.items()},
        )

    def _keys(self) -> list[Fact]:
        now = self._clock.now()
        infos = {info.id: info for info in self._ring.get_key_info()}
        ages: dict[tuple[str, ...], float] = {}
        for purpose in Purpose:
            info = infos[self._ring.primary(purpose).id]
            ages[purpose.value,] = (now - (info.activated_at or info.created_at)).total_seconds()
        return [
            Fact(
                name="cypher_key_age_seconds",
                about="For how long the key in use has been",
                labels=("purpose",),
                values=ages,
            ),
            Fact(
                name="cypher_key_operations_limit",
                about="Uses after which a data key is replaced",
                values={(): self._operations_limit},
            ),
        ]

    async def _stored(self) -> list[Fact]:
        """Ask PostgreSQL; nothing when it does not answer."""
        try:
            async with self._pools["upkeep"].connection() as repos:
                lag = await repos.audit_seals.get_lag()
                operations = await repos.deployment.list_operations()
        except Unavailable:
            return []
        waited = (self._clock.now() - lag.oldest).total_seconds() if lag.oldest else 0.0
        used = operations.get(self._ring.primary(Purpose.DATA).id, 0)
        return [
            Fact(
                name="cypher_key_operations", about="Uses of the data key that are reserved", values={(): float(used)}
            ),
            Fact(
                name="cypher_audit_lag_entries",
                about="Entries of the audit trail not sealed yet",
                values={(): float(lag.entries)},
            ),
            Fact(
                name="cypher_audit_lag_seconds",
                about="Age of the oldest of them",
                values={(): max(0.0, waited)},
            ),
        ]
