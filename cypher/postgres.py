"""PostgreSQL: a pool, connections, transactions, time-outs; the driver's errors become ours here and nowhere else.

It knows no table. What a connection can do for a caller is decided by the `over` that `Database.open` is given.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar
from urllib.parse import urlencode

import asyncpg
from asyncpg import Record as Record

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.errors import PostgresUnavailable
from cypher.sqlfiles import Kind, Query

R = TypeVar("R")

CLOSE_SECONDS = 5.0
#: How long a statement may take that nobody waits for at a login: an operator's count of whole tables.
MAINTENANCE_SECONDS = 600.0
SERVER_SETTINGS = {
    "application_name": "cypher",
    "idle_in_transaction_session_timeout": "5000",
    # The conditional statements rely on seeing the newest row after waiting for it.
    "default_transaction_isolation": "read committed",
    # Intervals of days must not depend on somebody's daylight saving.
    "TimeZone": "UTC",
}


#: Classes of SQLSTATE that pass: connection, authorization, resources, operator intervention, system.
PASSING_CLASSES = ("08", "28", "53", "57", "58")
#: The same one by one: no such database, serialization, deadlock, lock not available, read-only, idle too long.
PASSING_STATES = frozenset({"3D000", "40001", "40P01", "55P03", "25006", "25P03"})
#: States after which the other connections of the pool are of no more use than this one: a server that has become
#: a standby, or that goes down.
STALE_STATES = frozenset({"25006", "57P01", "57P02", "57P03"})

sql = sqlfiles.load("postgres")


class QueryFailed(Exception):
    """A query that PostgreSQL refuses for what it says: a bug here, or a schema that is not ours.

    Holds where the query stands, the SQLSTATE and the constraint. Never the driver's text: it quotes values.
    """

    def __init__(self, where: str, sqlstate: str | None, constraint: str | None) -> None:
        super().__init__(f"{where}: SQLSTATE {sqlstate or 'none'}{f', {constraint}' if constraint else ''}")
        self.sqlstate = sqlstate
        self.constraint = constraint


class Executor:
    """Runs the queries of `sql/` on one connection; each method takes queries of its own kind only."""

    __slots__ = ("_connection", "failed")

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy") -> None:
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

    async def each(self, query: Query, rows: Sequence[Sequence[object]]) -> None:
        """Run a query of which nothing comes back once for each row of arguments, all in one round trip."""
        with self._running(query, Kind.EXEC):
            await self._connection.executemany(query.sql, rows)

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

    def _running(self, query: Query, kind: Kind) -> "_Translated":
        if query.kind is not kind:
            raise TypeError(f"{query.where}: {query.name} is :{query.kind}, not :{kind}")
        return _Translated(query.where, self)


class Database(Generic[R]):
    """A pool of connections to the primary, handed out as whatever `over` makes of an executor."""

    def __init__(self, pool: "asyncpg.Pool", config: PostgresConfig, over: Callable[[Executor], R]) -> None:
        """Take over an open pool; call `open`."""
        self._pool = pool
        self._config = config
        self._free = asyncio.Semaphore(config.pool_max)
        self._over = over

    @classmethod
    async def open(
        cls, config: PostgresConfig, over: Callable[[Executor], R], settings: dict[str, str] | None = None
    ) -> "Database[R]":
        """Make the pool, its sessions with further `settings`; connects at first use: one that is away is no error."""
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
            server_settings=SERVER_SETTINGS
            | {
                "statement_timeout": str(round(config.statement_seconds * 1000)),
                "lock_timeout": str(round(config.lock_seconds * 1000)),
            }
            | (settings or {}),
            connect=partial(_connect_in_turn, config.connect_seconds),
            reset=_leave_as_it_is,
        )
        return cls(pool, config, over)

    async def close(self) -> None:
        """Let work under way finish for some seconds, then close every connection."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def ping(self) -> bool:
        """Tell whether PostgreSQL answers."""
        try:
            async with self._executor() as run:
                return await run.value(sql.ping) == 1
        except PostgresUnavailable:
            return False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[R]:
        """Lend a connection on which each statement commits by itself.

        Raises PostgresUnavailable when there is none, or no answer, in time.
        """
        async with self._executor() as run:
            yield self._over(run)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[R]:
        """Lend a connection in a transaction: commits at the end of the block, rolls back on any exception.

        PostgresUnavailable at the end means that nobody knows whether it was committed.
        """
        async with self._executor() as run:
            transaction = run._connection.transaction(isolation="read_committed")
            with _Translated("BEGIN"):
                await transaction.start()
            done = False
            try:
                yield self._over(run)
                if run.failed:
                    # Somebody has swallowed the error. PostgreSQL would answer COMMIT with a silent rollback.
                    raise QueryFailed("COMMIT", "25P02", None)
                done = True
            finally:
                if not done:
                    await _roll_back(transaction)
            with _Translated("COMMIT"):
                await transaction.commit()

    @asynccontextmanager
    async def _executor(self) -> AsyncIterator[Executor]:
        async with self._slot():
            connection = await self._connect()
            try:
                yield Executor(connection)
            except PostgresUnavailable as exc:
                if getattr(exc.__cause__, "sqlstate", None) in STALE_STATES:
                    await self._pool.expire_connections()
                raise
            finally:
                with _Translated("release"):
                    await self._pool.release(connection)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait for one of the pool's places, apart from the time that connecting takes."""
        try:
            async with asyncio.timeout(self._config.acquire_seconds):
                await self._free.acquire()
        except TimeoutError as exc:
            raise PostgresUnavailable from exc
        try:
            yield
        finally:
            self._free.release()

    async def _connect(self) -> "asyncpg.pool.PoolConnectionProxy":
        try:
            return await self._pool.acquire(timeout=self._config.connect_seconds)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as exc:
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
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            continue
    async with asyncio.timeout(share):
        return await asyncpg.connect(dsn, host=host[-1], **options)


async def _leave_as_it_is(connection: "asyncpg.Connection") -> None:
    """Do not reset what nobody changes: no SET, LISTEN, cursor or session lock is used. It saves a round trip."""


async def _roll_back(transaction: "asyncpg.transaction.Transaction") -> None:
    """Roll back if the connection still can; a lost one has rolled back by itself."""
    try:
        await transaction.rollback()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        return


class _Translated:
    """Turns the driver's errors into PostgresUnavailable (ask again) or QueryFailed (a bug).

    A class, since every query goes through it: two generators took a tenth of the time of a small one.
    """

    __slots__ = ("_run", "_where")

    def __init__(self, where: str, run: Executor | None = None) -> None:
        self._where = where
        self._run = run

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            return
        failure = _failure(self._where, error)
        if failure is None:
            return
        if self._run:
            self._run.failed = True
        # Only what passes names its cause: the text of the others quotes values.
        raise failure from (error if isinstance(failure, PostgresUnavailable) else None)


def _failure(where: str, error: BaseException) -> PostgresUnavailable | QueryFailed | None:
    """Return what an error of the driver is to us; None for an error of somebody else."""
    if isinstance(error, asyncpg.PostgresError):
        if error.sqlstate[:2] in PASSING_CLASSES or error.sqlstate in PASSING_STATES:
            return PostgresUnavailable()
        return QueryFailed(where, error.sqlstate, getattr(error, "constraint_name", None))
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        # An argument that does not fit; the text quotes it.
        return QueryFailed(where, None, None)
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError):  # TimeoutError is one
        return PostgresUnavailable()
    return None
