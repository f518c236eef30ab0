"""One of the instances that write audit entries at once, in a process of its own: does what its standard input says."""

import asyncio
import pickle
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import uvloop

from bench.bare import bare_pool
from bench.people import AGENT
from cypher.app import Resources, resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.source import Source
from cypher.clock import SystemClock, id_at
from cypher.repositories import Repositories
from cypher.repositories.audit import AuditEntry

HAPPENING = Happening(event=Event.LOGIN_FAILED, outcome=Outcome.FAILURE, reason="invalid_credentials")
SOURCE = Source(
    address="203.0.113.7",
    user_agent=AGENT,
    request_id="0123456789abcdef0123456789abcdef",
)
#: The plain way to insert rows.
INSERT = (
    "INSERT INTO audit_logs (retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id,"
    " user_id, session_id, request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id)"
    f" VALUES ({', '.join(f'${number}' for number in range(1, 18))})"
)
Rows = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Shape:
    """How many write at once, how many transactions each, how many entries in each of these."""

    writers: int
    transactions: int
    entries: int

    @property
    def size(self) -> int:
        return self.writers * self.transactions * self.entries


class Instance:
    """Writes entries as the service does, or inserts rows of such entries that were sealed before."""

    def __init__(self, open_: Resources, pool: asyncpg.Pool) -> None:
        self._open = open_
        self._pool = pool
        self._sealed: list[Rows] = []

    async def prepare(self, shape: Shape) -> None:
        """Seal the rows of the next floor."""
        async with self._open.db.connection() as repos:
            self._sealed = [await self._rows(repos, shape.entries) for _ in range(shape.writers * shape.transactions)]

    async def write(self, shape: Shape) -> None:
        """Write through the service's own way into the trail."""
        await asyncio.gather(*(self._write(shape) for _ in range(shape.writers)))

    async def insert(self, shape: Shape) -> None:
        """Insert what was sealed before, with nothing in between."""
        await asyncio.gather(*(self._insert(shape) for _ in range(shape.writers)))

    async def _write(self, shape: Shape) -> None:
        for _ in range(shape.transactions):
            async with self._open.db.transaction() as repos:
                await self._open.audit.record_all(repos, [HAPPENING] * shape.entries, SOURCE)

    async def _insert(self, shape: Shape) -> None:
        for _ in range(shape.transactions):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(INSERT, self._sealed.pop())

    async def _rows(self, repos: Repositories, count: int) -> Rows:
        sealed = await repos.audit.seal_entries([self._entry() for _ in range(count)], {})
        return [tuple(row.values()) for row in sealed]

    def _entry(self) -> AuditEntry:
        now = self._open.clock.now()
        return AuditEntry(
            id=id_at(now),
            occurred_at=now,
            retention="short",
            action=HAPPENING.event.value,
            outcome=HAPPENING.outcome.value,
            reason=HAPPENING.reason,
            severity="warning",
            actor_type="stranger",
            actor_id=None,
            user_id=None,
            session_id=None,
            request_id=SOURCE.request_id,
            subject_index=None,
            details=b'{"address":"203.0.113.7","user_agent":"%s"}' % SOURCE.user_agent.encode(),
        )


async def main() -> None:
    config = pickle.loads(bytes.fromhex(sys.stdin.readline()))
    async with resources(config, SystemClock()) as open_, bare_pool(config.postgres) as pool:
        instance = Instance(open_, pool)
        todo: dict[str, Callable[[Shape], Awaitable[None]]] = {
            "prepare": instance.prepare,
            "write": instance.write,
            "insert": instance.insert,
        }
        while line := (await asyncio.to_thread(sys.stdin.readline)).split():
            word, *numbers = line
            await todo[word](Shape(*map(int, numbers)))
            print("done", flush=True)


if __name__ == "__main__":
    uvloop.run(main())
