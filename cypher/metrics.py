"""What a process counts of its own work, in the form that Prometheus reads.

Labels hold routes, codes and kinds, of which there are few: never a name, an address, an id or anything else that was
sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Fact", "Metrics", "forget", "share"]

#: A cached session takes about a millisecond, a step of a login a few; nothing takes more than the deadline.
REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REVOCATION_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

disable_created_metrics()


def share() -> None:
    """Keep what is counted from now on in files of PROMETHEUS_MULTIPROC_DIR, for one process to tell of all."""
    # The library chooses when it is imported; here it is known later, when a process becomes a worker.
    values.ValueClass = values.MultiProcessValue()


def forget(pid: int, folder: Path) -> None:
    """Take a process that has ended out of what is there now; what it has counted stays."""
    multiprocess.mark_process_dead(pid, str(folder))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that is found when it is asked for, and is the same whichever process is asked."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)


class Metrics:
    """The counters of one process."""

    def __init__(self, folder: Path | None = None) -> None:
        """Count from zero; `folder` is where processes share what they count, None for one process alone."""
        self._folder = folder
        self._registry = CollectorRegistry()
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = self._counter("cypher_requests", "Requests answered", "method", "route", "status")
        self._seconds = self._histogram(
            "cypher_request_seconds", "From a request's head to its answer", REQUEST_SECONDS, "method", "route"
        )
        self.logins = self._counter("cypher_logins", "Logins that ended, by what was proven last", "outcome", "factor")
        self.lookups = self._counter("cypher_session_lookups", "Looks for a session in the cache", "result")
        self.refusals = self._counter("cypher_limit_refusals", "Requests refused by a limit", "category")
        self.revocations = self._histogram(
            "cypher_revocation_seconds",
            "From a revocation's commit until no instance answers from its cache",
            REVOCATION_SECONDS,
        )
        self.unconfirmed = self._counter(
            "cypher_revocations_unconfirmed", "Revocations that a cache may outlive by seconds"
        )
        self.unrecorded = self._counter("cypher_audit_unrecorded", "What the audit trail did not take", "what")
        self.held = self._gauge("cypher_audit_held", "Failures and attempts that wait to be written")
        self.processes = self._gauge("cypher_processes", "Processes that serve")
        self.connections = self._gauge(
            "cypher_pool_connections", "Connections to PostgreSQL: lent now, and at most", "pool", "state"
        )
        # What has not happened yet is zero, and not absent: a rate begins with the first time.
        for result in ("hit", "miss", "away"):
            self.lookups.labels(result)
        for what in ("emergency", "refused", "lost"):
            self.unrecorded.labels(what)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request, by its route as the route table writes it."""
        counted = self._counted.get((method, route, status))
        if counted is None:
            # Finding a child by its labels costs more than counting.
            children = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            counted = self._counted[method, route, status] = children
        counted[0].inc()
        counted[1].observe(seconds)

    def exposition(self, facts: list[Fact]) -> bytes:
        """Return all that was counted, of all processes that share it, and these facts."""
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, str(self._folder))
        return generate_latest(registry) + generate_latest(_Found(facts))

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self._registry, multiprocess_mode="livesum")


class _Found(Collector):
    def __init__(self, facts: list[Fact]) -> None:
        self._facts = facts

    def collect(self) -> list[GaugeMetricFamily]:
        families = []
        for fact in self._facts:
            family = GaugeMetricFamily(fact.name, fact.about, labels=fact.labels)
            for labels, value in fact.values.items():
                family.add_metric(labels, value)
            families.append(family)
        return families
