"""A trail with what writes, seals and proves it, on a database of the test's own."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.clock import Clock
from cypher.config import PostgresConfig
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.keyring import KeyRing
from cypher.maintenance.checkpoints import Checkpoint, Checkpoints
from cypher.maintenance.sealing import Sealer
from cypher.maintenance.verification import Verification, Verified
from cypher.postgres import Database
from cypher.repositories import Repositories
from tests.factories import CLOCK, as_owner

HERE = Source(address="203.0.113.7", user_agent="Browser/1.0", request_id="request-0001")
OPEN = "SELECT count(*) FROM audit_logs WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())"
KEEP = {"long": 400, "short": 30}


@dataclass
class Trail:
    db: Database[Repositories]
    ring: KeyRing
    config: PostgresConfig
    audit: Audit
    sealer: Sealer
    clock: Clock = CLOCK

    async def write(self, count: int = 1, **about: object) -> None:
        """Write entries, each in a transaction of its own."""
        happening = Happening(**{"event": Event.SESSION_CREATED, **about})
        for _ in range(count):
            async with self.db.transaction() as repos:
                await self.audit.record(repos, happening, HERE)

    async def seal(self) -> None:
        """Seal everything, under one seal. Transactions of other tests' databases hold it back for a moment."""
        async with asyncio.timeout(30):
            while self.rows(OPEN) != [(0,)]:
                await asyncio.sleep(0.05)
        await self.sealer.seal()
        assert await self.lag() == 0

    async def write_sealed(self, *counts: int) -> None:
        """Write and seal, so many entries under each seal."""
        for count in counts:
            await self.write(count)
            await self.seal()

    async def lag(self) -> int:
        async with self.db.connection() as repos:
            return (await repos.audit_seals.get_lag()).entries

    async def verify(self, checkpoints: Iterable[Checkpoint] = ()) -> Verified:
        run = Verification(db=self.db, ring=self.ring, clock=self.clock, keep=KEEP, checkpoints=checkpoints)
        return await run.run()

    async def checkpoint(self) -> Checkpoint:
        async with self.db.connection() as repos:
            last = await repos.audit_seals.get_last_seal()
        return await Checkpoints(self.ring, CLOCK, None).make(last.seal.statement)

    def attack(self, *statements: str) -> None:
        """Do what whoever owns the database can do."""
        for statement in statements:
            as_owner(self.config, statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return as_owner(self.config, query)

    def sealed_ids(self) -> list[str]:
        """Return the ids of the sealed entries in their order."""
        return [str(row[0]) for row in self.rows("SELECT entry_id FROM audit_leaves ORDER BY seal_no, position")]


@pytest.fixture
def trail(db, ring, postgres_config) -> Trail:
    audit = Audit(CLOCK, BlindIndex(ring))
    return Trail(db, ring, postgres_config, audit, Sealer(db=db, ring=ring, clock=CLOCK))
