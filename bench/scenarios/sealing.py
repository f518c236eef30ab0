"""The audit trail sealed and verified, on a database of its own: what others have written is in no seal of this one."""

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg

from bench.audit_instance import HAPPENING, SOURCE
from bench.bare import bare_connection
from bench.harness import Scenario, Tally, Work
from bench.stands import Stands, stand_of
from cypher.app import Resources
from cypher.clock import new_bytes
from cypher.maintenance.sealing import Sealer
from cypher.maintenance.verification import Verification

#: Of a round; those of one transaction stay together in a seal.
ENTRIES, TOGETHER = 5000, 50
#: What a seal has for each entry; `entry_id` is that of no entry.
INSERT = "INSERT INTO audit_leaves (seal_no, position, retention, entry_id, entry_hash) VALUES ($1, $2, $3, $4, $5)"
#: What verifying reads.
LEAVES = "SELECT seal_no, position, retention, entry_id, entry_hash FROM audit_leaves WHERE seal_no BETWEEN $1 AND $2"
READ = "SELECT * FROM audit_logs WHERE id = ANY($1)"
#: Read together: of each about a thousand leaves at most.
SEALS = 1


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    async with stand_of(stands.servers, 0) as stand, bare_connection(stand.postgres) as connection:
        open_ = stand.open_
        sealer = Sealer(db=open_.db, ring=open_.ring, clock=open_.clock)

        async def write() -> None:
            await sealer.seal()
            for _ in range(ENTRIES // TOGETHER):
                async with open_.db.transaction() as repos:
                    await open_.audit.record_all(repos, [HAPPENING] * TOGETHER, SOURCE)

        async def seal() -> None:
            sealed = 0
            while sealed < ENTRIES:  # an ANALYZE in the background holds back what came after it
                sealed += await sealer.seal()

        yield Scenario(
            name=f"seal {ENTRIES:,} entries",
            prepare=write,
            work=seal,
            floor=_insert_leaves(connection),
            floor_name="INSERT of as many leaves",
            size=ENTRIES,
            rounds=5,
        )
        await sealer.seal()
        yield Scenario(
            name="verify the trail",
            work=_verify(open_),
            floor=_read(connection),
            floor_name="reading it",
            size=1,
            rounds=3,
        )


def _insert_leaves(connection: asyncpg.Connection) -> Work:
    async def insert() -> None:
        # Rolled back: a leaf without an entry would be an attack.
        transaction = connection.transaction()
        await transaction.start()
        seal_no = await connection.fetchval("SELECT max(seal_no) FROM audit_seals")
        for start in range(0, ENTRIES, 1000):
            places = range(100_000 + start, 100_000 + start + 1000)
            rows = [(seal_no, place, "short", uuid4(), new_bytes(32)) for place in places]
            await connection.executemany(INSERT, rows)
        await transaction.rollback()

    return insert


def _verify(open_: Resources) -> Work:
    async def verify() -> Tally:
        began = time.perf_counter()
        done = await Verification(db=open_.db, ring=open_.ring, clock=open_.clock, keep={}).run()
        assert done.finding is None
        return _tally(done.entries, time.perf_counter() - began)

    return verify


def _read(connection: asyncpg.Connection) -> Work:
    async def read() -> Tally:
        began = time.perf_counter()
        last, entries = await connection.fetchval("SELECT max(seal_no) FROM audit_seals"), 0
        for first in range(1, last + 1, SEALS):
            leaves = await connection.fetch(LEAVES, first, first + SEALS - 1)
            entries += len(await connection.fetch(READ, [leaf["entry_id"] for leaf in leaves]))
        return _tally(entries, time.perf_counter() - began)

    return read


def _tally(entries: int, seconds: float) -> Tally:
    return Tally(operations=entries, seconds=seconds, latencies=[seconds / entries])
