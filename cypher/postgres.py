"""PostgreSQL: a pool, connections, transactions, time-outs; the driver's errors become ours in `postgres_errors`.

It knows no table. What a connection can do for a caller is decided by the `over` that `Database.open` is given.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import urlencode

import asyncpg
from asyncpg import Record as Record

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.errors import PostgresUnavailable
from cypher.postgres_errors import DRIVERS_ERRORS, QueryFailed, Translated
from cypher.postgres_limits import REFUSED_AT_START, EachByItself, Limits, no_limits
from cypher.sqlfiles import Kind, Query

R = TypeVar("R")

#: How long closing waits for work under way, of which there is none after a drain; each pool takes its turn.
CLOSE_SECONDS = 2.0
#: How long a connection whose work broke off may take to roll back, and again to be whole, before it is dropped. A
#: server that answers takes a millisecond or two; one that does not would hold every request beyond its deadline.
MEND_SECONDS = 0.25
#: How long a statement may take that nobody waits for at a login: an operator's count of whole tables.
MAINTENANCE_SECONDS = 600.0

#: States after which the other connections of the pool are of no more use than this one: a server that has become
#: a standby, or that goes down.
STALE_STATES = frozenset({"25006", "57P01", "57P02", "57P03"})

sql = sqlfiles.load("postgres")


class Executor:
    """Runs the queries of `sql/` on one connection; each method takes queries of its own kind only."""

    __slots__ = ("_connection", "failed")

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy | EachByItself") -> None:
        self._connection = connection
        self.failed = False  #: whether a query has failed, after which a transaction can only be rolled back

    async def one(self, query: Query, *args: object) -> Record | None:
        """Return the first record, or None."""
        with self._running(query, Kind.ONE):
            return await self._connection.fetchrow(query.sql, *args)

    async def many(self, query: Query, *args: object) -> list[Record]:
        """Return all records."""
        with self._running(query, Kind.MANY):
            records: list[Record] = await self._connection.fetch(query.sql, *args)
            return records

    async def exec(self, query: Query, *args: object) -> None:
        """Run a query of which nothing comes back."""
        with self._running(query, Kind.EXEC):
            await self._connection.execute(query.sql, *args)

    async def execrows(self, query: Query, *args: object) -> int:
        """Return how many rows were changed."""
        with self._running(query, Kind.EXECROWS):
            status: str = await self._connection.execute(query.sql, *args)
            return int(status.rpartition(" ")[2])

    async def value(self, query: Query, *args: object) -> object:
        """Return the first column of the first record; None also stands for no record."""
        with self._running(query, Kind.VALUE):
            value: object = await self._connection.fetchval(query.sql, *args)
            return value

    def _running(self, query: Query, kind: Kind) -> "Translated":
        if query.kind is not kind:
            raise TypeError(f"{query.where}: {query.name} is :{query.kind}, not :{kind}")
        return Translated(query.where, self)


class Database(Generic[R]):
    """A pool of connections to the primary, handed out as whatever `over` makes of an executor."""

    def __init__(
        self, pool: "asyncpg.Pool", config: PostgresConfig, limits: Limits, over: Callable[[Executor], R]
    ) -> None:
        """Take over an open pool; call `open`."""
        self._pool = pool
        self._config = config
        self._free = asyncio.Semaphore(config.pool_max)
        self.lent, self.most = 0, config.pool_max  #: connections: how many are lent now, and may be
        self._over = over
        self._limits = limits.each_time

    @classmethod
    async def open(
        cls, config: PostgresConfig, over: Callable[[Executor], R], *, read_only: bool = False
    ) -> "Database[R]":
        """Make the pool; connects at first use, so that a PostgreSQL that is away is no error here."""
        limits = Limits.of(config, read_only=read_only)
        pool = await asyncpg.create_pool(
            # The only way by which this driver takes the files of TLS.
            f"postgresql://?{urlencode(config.tls())}",
            host=list(config.hosts),
            port=config.port,
            user=config.user,
            password=config.password.reveal() if config.password else None,
            database=config.database,
            target_session_attrs="primary" if len(config.hosts) > 1 else None,
            min_size=0,
            max_size=config.pool_max,
            # A second more: the server's own time-out, which ends the statement there too, comes first.
            command_timeout=config.statement_seconds + 1,
            server_settings=limits.at_start,
            # A statement would stay prepared on a connection that is somebody else's by then.
            statement_cache_size=0 if config.pooled else 100,
            connect=partial(_connect_in_turn, config.connect_seconds),
            reset=_leave_as_it_is,
        )
        return cls(pool, config, limits, over)

    async def close(self) -> None:
        """Let work under way finish for some seconds, then close every connection."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def ping(self) -> bool:
        """Tell whether PostgreSQL answers and takes changes."""
        try:
            async with self._borrowed() as connection:
                return await Executor(connection).value(sql.ping) is True
        except PostgresUnavailable:
            return False

    async def require_limits(self) -> None:
        """Raise OperatorError where a pooler in between refuses the time-outs, or drops them."""
        try:
            async with self._borrowed() as connection:
                kept = self._limits or await Executor(connection).value(sql.has_limits)
        except PostgresUnavailable as exc:
            if getattr(exc.__cause__, "sqlstate", None) != REFUSED_AT_START:
                raise
            kept = False
        if not kept:
            raise no_limits()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[R]:
        """Lend a connection on which each statement commits by itself.

        Raises PostgresUnavailable when there is none, or no answer, in time.
        """
        async with self._borrowed() as connection:
            yield self._over(Executor(EachByItself(connection, self._limits) if self._limits else connection))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[R]:
        """Lend a connection in a transaction: commits at the end of the block, rolls back on any exception.

        PostgresUnavailable at the end means that nobody knows whether it was committed.
        """
        async with self._borrowed() as connection:
            run, transaction = Executor(connection), connection.transaction(isolation="read_committed")
            done = False
            try:
                with Translated("BEGIN"):
                    await transaction.start()
                if self._limits:
                    with Translated("SET LOCAL"):
                        await connection.execute(self._limits)
                yield self._over(run)
                if run.failed:
                    # Somebody has swallowed the error. PostgreSQL would answer COMMIT with a silent rollback.
                    raise QueryFailed("COMMIT", "25P02", None)
                with Translated("COMMIT"):
                    await transaction.commit()
                done = True
            finally:
                if not done:
                    await _roll_back(connection, transaction)

    @asynccontextmanager
    async def _borrowed(self) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy]":
        await self._take_place()
        self.lent += 1
        try:
            connection = await self._connect()
            whole = False
            try:
                yield connection
                whole = True
            except PostgresUnavailable as exc:
                if getattr(exc.__cause__, "sqlstate", None) in STALE_STATES:
                    await self._pool.expire_connections()
                raise
            finally:
                # An error here changes nothing about what was done, and takes no other error's place.
                with suppress(*DRIVERS_ERRORS):
                    release = self._pool.release(connection, timeout=MEND_SECONDS)
                    await (release if whole else _by_itself(release))
        finally:
            self.lent -= 1
            self._free.release()

    async def _take_place(self) -> None:
        """Wait for one of the pool's places, apart from the time that connecting takes."""
        if not self._free.locked():
            await self._free.acquire()  # at once: a timer would cost as much as the rest of this
            return
        try:
            async with asyncio.timeout(self._config.acquire_seconds):
                await self._free.acquire()
        except TimeoutError as exc:
            raise PostgresUnavailable from exc

    async def _connect(self) -> "asyncpg.pool.PoolConnectionProxy":
        try:
            # The driver's own time-out costs a task for each call.
            async with asyncio.timeout(self._config.connect_seconds):
                return await self._pool.acquire()
        except DRIVERS_ERRORS as exc:
            # Whatever it is, there is no connection: nothing that was asked for can be at fault.
            raise PostgresUnavailable from exc


async def _connect_in_turn(seconds: float, dsn: str, *, host: list[str], **options: object) -> "asyncpg.Connection":
    """Connect to the first host that is the primary; each has its share of the time.

    The driver's own time-out is for all of them together: a first host that swallows packets would use it up.
    """
    share = seconds / len(host)
    for each in host[:-1]:
        try:
            async with asyncio.timeout(share):
                return await asyncpg.connect(dsn, host=each, **options)
        except DRIVERS_ERRORS:
            continue
    async with asyncio.timeout(share):
        return await asyncpg.connect(dsn, host=host[-1], **options)


async def _leave_as_it_is(connection: "asyncpg.Connection") -> None:
    """Do not reset what nobody changes: no SET, LISTEN, cursor or session lock is used. It saves a round trip."""


async def _by_itself(work: Coroutine[None, None, None]) -> None:
    """Wait for work that goes on when its caller is cancelled; what it then raises is nobody's, and not logged."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(task)


async def _roll_back(
    connection: "asyncpg.pool.PoolConnectionProxy", transaction: "asyncpg.transaction.Transaction"
) -> None:
    """Roll back if the connection still can; one that cannot is dropped, by which the server rolls back.

    It cannot where BEGIN or COMMIT broke off: the driver does not know on which side of it the server is.
    """
    done = False
    try:
        async with asyncio.timeout(MEND_SECONDS):
            await transaction.rollback()
        done = True
    except DRIVERS_ERRORS:
        return
    finally:
        if not done:
            with suppress(asyncpg.InterfaceError):  # the pool has seen that it is lost, and taken it away
                connection.terminate()
