"""The limits of a connection: asked for when it is made, or set in each transaction where a pooler stands in between.

A pooler in transaction mode (PgBouncer) lends its connections for one transaction each, and what is set for a session
would be somebody else's a moment later. There each statement is a transaction, so that no limit is ever lost.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from cypher.config import PostgresConfig
from cypher.errors import OperatorError

SERVER_SETTINGS = {
    "application_name": "cypher",
    "idle_in_transaction_session_timeout": "5000",
    # The conditional statements rely on seeing the newest row after waiting for it.
    "default_transaction_isolation": "read committed",
    # Intervals of days must not depend on somebody's daylight saving.
    "TimeZone": "UTC",
}
#: What a pooler carries from one connection to the next; any other setting it refuses, or drops.
CARRIED = frozenset({"application_name", "TimeZone"})

#: The SQLSTATE of PgBouncer's refusal of a setting that it does not carry.
REFUSED_AT_START = "08P01"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection is made with, and the statements that begin each transaction, none without a pooler."""

    at_start: dict[str, str]
    each_time: str

    @classmethod
    def of(cls, config: PostgresConfig, *, read_only: bool) -> Self:
        settings = SERVER_SETTINGS | {
            "statement_timeout": _milliseconds(config.statement_seconds),
            "lock_timeout": _milliseconds(config.lock_seconds),
        }
        if not config.pooled:
            return cls(settings | ({"default_transaction_read_only": "on"} if read_only else {}), "")
        each_time = {name: settings[name] for name in sorted(settings.keys() - CARRIED)}
        if read_only:
            each_time["transaction_read_only"] = "on"
        return cls(
            {name: settings[name] for name in CARRIED},
            "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in each_time.items()),
        )


def no_limits() -> OperatorError:
    return OperatorError(
        "Something between Cypher and PostgreSQL refuses or drops the time-outs that connections begin with. Is it "
        "PgBouncer? Set POSTGRES_POOLER=transaction, or name PostgreSQL itself in POSTGRES_HOST."
    )


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


class EachByItself:
    """A connection on which each statement is a transaction, and begins with the limits."""

    __slots__ = ("_connection", "_limits")

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy", limits: str) -> None:
        self._connection = connection
        self._limits = limits

    async def fetch(self, *call: Any) -> list[asyncpg.Record]:
        async with self._limited():
            records: list[asyncpg.Record] = await self._connection.fetch(*call)
            return records

    async def fetchrow(self, *call: Any) -> asyncpg.Record | None:
        async with self._limited():
            return await self._connection.fetchrow(*call)

    async def fetchval(self, *call: Any) -> object:
        async with self._limited():
            return await self._connection.fetchval(*call)

    async def execute(self, *call: Any) -> str:
        async with self._limited():
            status: str = await self._connection.execute(*call)
            return status

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        async with self._connection.transaction(isolation="read_committed"):
            await self._connection.execute(self._limits)
            yield
