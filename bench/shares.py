"""`python -m bench.shares [LOGINS]`: what a login takes of each server, as docs/scaling.md calculates with.

The servers are embedded ones, on this machine: the CPU of PostgreSQL is that of its processes.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import psycopg
from redis import Redis

from bench.load import loads
from bench.logins import Door, log_in
from bench.processes import Running, cpu_of, service
from bench.servers import SUPERUSER, started
from bench.stands import Stand, stands

LOGINS, AT_ONCE = 512, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Sums until now."""

    service_cpu_s: float
    postgres_cpu_s: float
    redis_cpu_s: float
    transactions: float
    wal_bytes: float
    stored_bytes: float
    redis_commands: float

    def per(self, before: "Shares", operations: int) -> dict[str, float]:
        names = (field.name for field in fields(self))
        return {name: (getattr(self, name) - getattr(before, name)) / operations for name in names}


class Meter:
    """Reads the sums. Connections of PostgreSQL that end in between are missed: a pool keeps its own."""

    def __init__(self, stand: Stand, running: Running) -> None:
        self._running = running
        self._postgres = psycopg.connect(
            host=stand.postgres.hosts[0], user=SUPERUSER, dbname=stand.postgres.database, autocommit=True
        )
        url = stand.open_.config.redis.url
        assert url
        self._redis = Redis.from_url(url)

    def read(self) -> Shares:
        pids = [row[0] for row in self._postgres.execute("SELECT pid FROM pg_stat_activity")]
        self._postgres.execute("SELECT pg_stat_clear_snapshot()")
        row = self._postgres.execute(
            "SELECT xact_commit::float8, (pg_current_wal_lsn() - '0/0')::float8,"
            "       pg_database_size(datname)::float8"
            "  FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert row
        redis = self._redis.info()
        return Shares(
            service_cpu_s=self._running.cpu(),
            postgres_cpu_s=sum(cpu_of(pid) for pid in pids),
            redis_cpu_s=redis["used_cpu_sys"] + redis["used_cpu_user"],
            transactions=row[0],
            wal_bytes=row[1],
            stored_bytes=row[2],
            redis_commands=redis["total_commands_processed"],
        )


async def measure(folder: Path, count: int) -> None:
    with started(folder, {}) as servers:
        async with stands(servers, scale=1000, concurrency=(AT_ONCE,)) as made:
            stand = await made.small()
            async with service(stand.settings, folder) as running, loads(folder) as load:
                door, meter = Door(running, load, AT_ONCE), Meter(stand, running)
                names = [person.username for person in stand.people[:count]]

                for _ in range(2):  # once until every connection knows every statement
                    before = meter.read()
                    for start in range(0, count, AT_ONCE):
                        await log_in(door, names[start : start + AT_ONCE])
                    await asyncio.sleep(2)  # PostgreSQL counts with a delay, and the trail is sealed
                shares = meter.read().per(before, count)
    print(f"{count} logins; each took:")
    for share, value in shares.items():
        print(f"  {share:>16} {value:10.6f}" if share.endswith("_s") else f"  {share:>16} {value:10.1f}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cypher-bench-") as folder:
        asyncio.run(measure(Path(folder), int(sys.argv[1]) if sys.argv[1:] else LOGINS))


if __name__ == "__main__":
    main()
