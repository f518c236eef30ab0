"""The errors of PostgreSQL's driver and what they are to us: something that passes, or a bug."""

from types import TracebackType
from typing import Protocol

import asyncpg

from cypher.errors import PostgresUnavailable

#: All that the driver raises.
DRIVERS_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
#: Classes of SQLSTATE that pass: connection, authorization, resources, operator intervention, system.
PASSING_CLASSES = ("08", "28", "53", "57", "58")
#: The same one by one: no such database, serialization, deadlock, lock not available, read-only, idle too long.
PASSING_STATES = frozenset({"3D000", "40001", "40P01", "55P03", "25006", "25P03"})


class QueryFailed(Exception):
    """A query that PostgreSQL refuses for what it says: a bug here, or a schema that is not ours.

    Holds where the query stands, the SQLSTATE and the constraint. Never the driver's text: it quotes values.
    """

    def __init__(self, where: str, sqlstate: str | None, constraint: str | None) -> None:
        super().__init__(f"{where}: SQLSTATE {sqlstate or 'none'}{f', {constraint}' if constraint else ''}")
        self.sqlstate = sqlstate
        self.constraint = constraint


class Failing(Protocol):
    """Something that remembers that a query of its own has failed."""

    failed: bool


class Translated:
    """Turns the driver's errors into PostgresUnavailable (ask again) or QueryFailed (a bug).

    A class, since every query goes through it: two generators took a tenth of the time of a small one.
    """

    __slots__ = ("_run", "_where")

    def __init__(self, where: str, run: Failing | None = None) -> None:
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
