"""How long it takes until the service answers, and to bring an empty database up to date."""

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

from bench.harness import Scenario, Tally
from bench.processes import ROOT, service
from bench.servers import Servers, connected
from bench.stands import Stand, Stands
from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.migrate import migrate
from cypher.schema import names

#: What a service of this kind cannot do without.
LIBRARIES = "aiohttp, asyncpg, cryptography.fernet, jwt, msgspec, opaque_ke_py, psycopg, redis.asyncio, uvloop, yoyo"


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    yield Scenario(
        name="start of the service",
        work=lambda: _start(stand),
        floor=_import,
        floor_name="import of its libraries",
        size=1,
        cpu=_cpu_of_children,
        rounds=5,
    )
    with ExitStack() as closing:
        empty = EmptyDatabase(stands.servers, closing)
        yield Scenario(
            name="migrations on an empty database",
            work=empty.migrate,
            floor=empty.run_files,
            floor_name="the same files by hand",
            size=1,
            prepare=empty.make,
            rounds=5,
        )


async def _start(stand: Stand) -> Tally:
    began = time.perf_counter()
    async with service(stand.settings, stand.folder):
        seconds = time.perf_counter() - began
    return Tally(operations=1, seconds=seconds, latencies=[seconds])


async def _import() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", f"import {LIBRARIES}", cwd=ROOT)
    assert await process.wait() == 0


def _cpu_of_children() -> float:
    """Return the CPU-seconds of all processes that have been started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class EmptyDatabase:
    """A database made anew for each try."""

    def __init__(self, servers: Servers, closing: ExitStack) -> None:
        self._servers = servers
        self._closing = closing
        self._config: PostgresConfig

    async def make(self) -> None:
        self._closing.close()
        self._config = self._closing.enter_context(self._servers.database(migrated=False))

    async def migrate(self) -> None:
        assert len(migrate(self._config)) == len(names())

    async def run_files(self) -> None:
        with connected(self._config) as connection:
            # They grant rights on yoyo's own table.
            connection.execute("CREATE TABLE _yoyo_migration ()")
            for name in names():
                with connection.transaction():
                    connection.execute((sqlfiles.migrations_path() / f"{name}.sql").read_bytes())
