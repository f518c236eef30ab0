"""What happens to PostgreSQL."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import asyncpg

from cypher.embedded.postgres import SERVICE_ROLE
from tests.faults.books import Books
from tests.faults.fault import Fault, PostgresFault


class PostgresRestarted(PostgresFault):
    name = "PostgreSQL restarted"
    seconds = 2.0

    async def begin(self) -> None:
        await asyncio.to_thread(self.world.postgres.stop, "fast")

    async def end(self) -> None:
        await asyncio.to_thread(self.world.postgres.start)


class PostgresKilled(PostgresFault):
    name = "PostgreSQL killed (immediate stop)"

    async def begin(self) -> None:
        await asyncio.to_thread(self.world.postgres.stop, "immediate")

    async def end(self) -> None:
        await asyncio.to_thread(self.world.postgres.start)


class PostgresReadOnly(PostgresFault):
    """As a primary that has become a standby."""

    name = "PostgreSQL read-only"

    async def begin(self) -> None:
        self.world.postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")

    async def end(self) -> None:
        self.world.postgres.execute("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


class PostgresFrozen(PostgresFault):
    """It takes connections and bytes and answers nothing."""

    name = "PostgreSQL frozen"
    through = frozenset({"postgres"})
    #: Longer than a request may take.
    seconds = 7.0

    async def begin(self) -> None:
        self.world.to_postgres.freeze()

    async def end(self) -> None:
        await self.world.to_postgres.pass_on()


class PostgresOutOfConnections(PostgresFault):
    """A superuser holds all there are; those that the service had are cut, one by one, and taken as well.

    The last three that are free are for superusers only, so that the service comes too late.
    """

    name = "PostgreSQL out of connections"

    async def begin(self) -> None:
        self._held = AsyncExitStack()
        first = await self._connect()
        await self._take_all()
        while pid := await first.fetchval("SELECT min(pid) FROM pg_stat_activity WHERE usename = $1", SERVICE_ROLE):
            await first.execute("SELECT pg_terminate_backend($1, 1000)", pid)
            await self._take_all()

    async def _take_all(self) -> None:
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                await self._connect()

    async def _connect(self) -> "asyncpg.Connection":
        postgres = self.world.postgres.config
        connection = await asyncpg.connect(host=postgres.hosts[0], user="postgres", database="postgres")
        self._held.push_async_callback(connection.close)
        return connection

    async def end(self) -> None:
        await self._held.aclose()


class TableLocked(PostgresFault):
    """Somebody alters a table and takes long."""

    name = "a locked table (user_sessions)"

    async def begin(self) -> None:
        postgres = self.world.postgres.config
        self._connection = await asyncpg.connect(
            host=postgres.hosts[0], user="postgres", database=self.world.database.database
        )
        await self._connection.execute("BEGIN")
        await self._connection.execute("LOCK TABLE user_sessions IN ACCESS EXCLUSIVE MODE")

    async def end(self) -> None:
        await self._connection.execute("ROLLBACK")
        await self._connection.close()


class CommitAnswersLost(Fault):
    """Every third COMMIT is done, and nobody hears of it."""

    name = "the answer to a COMMIT lost"
    through = frozenset({"postgres"})

    async def begin(self) -> None:
        self.world.to_postgres.lose_commits(every=3)

    async def end(self) -> None:
        self.world.to_postgres.lose_commits(most=0)

    def surprises(self, books: Books) -> Iterator[str]:
        if not self.world.to_postgres.lost:
            yield "no answer was lost"


class PostgresConnectionsCut(Fault):
    name = "connections to PostgreSQL cut, again and again"
    through = frozenset({"postgres"})

    async def begin(self) -> None:
        self._cutting = asyncio.create_task(self._cut())

    async def _cut(self) -> None:
        while True:
            self.world.to_postgres.cut()
            await asyncio.sleep(0.2)

    async def end(self) -> None:
        self._cutting.cancel()
        await asyncio.gather(self._cutting, return_exceptions=True)


POSTGRES_FAULTS: tuple[type[Fault], ...] = (
    PostgresRestarted,
    PostgresKilled,
    PostgresReadOnly,
    PostgresFrozen,
    PostgresOutOfConnections,
    TableLocked,
    CommitAnswersLost,
    PostgresConnectionsCut,
)
