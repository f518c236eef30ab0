"""Ends sessions whatever becomes of the audit trail: a thief must not stay in because a disk or a right is missing.

It is the one change that may be made without its entry. What is put in its place: a line in the log at once, with ids
only, and the entry itself as soon as the trail takes entries again.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from cypher.auth.audit import Audit, Happening
from cypher.auth.source import Source
from cypher.errors import KeysUnavailable, TrailRefused
from cypher.postgres import Database
from cypher.repositories import Repositories

T = TypeVar("T")


class Recorder(Protocol):
    """What records in a transaction."""

    async def record(self, repos: Repositories, happening: Happening, source: Source | None) -> None: ...


class _Kept:
    """Keeps what a transaction would have recorded, until it is committed."""

    def __init__(self) -> None:
        self.kept: list[tuple[Happening, Source | None]] = []

    async def record(self, repos: Repositories, happening: Happening, source: Source | None) -> None:
        self.kept.append((happening, source))


class Endings:
    """Runs a transaction that ends sessions and does nothing else."""

    def __init__(self, *, db: Database[Repositories], audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def run(self, end: Callable[[Repositories, Recorder], Awaitable[T]]) -> T:
        """Run it with the trail; where that takes no entry, once more without."""
        try:
            async with self._db.transaction() as repos:
                return await end(repos, self._audit)
        except (TrailRefused, KeysUnavailable):
            recorder = _Kept()
            async with self._db.transaction() as repos:
                done = await end(repos, recorder)
        for happening, source in recorder.kept:
            self._audit.record_emergency(happening, source)
        return done
