"""A record read through its repository, beside asyncpg's `fetchrow` of the same columns.

The floor opens with bare Fernet as many values as the repository has to open. Reads are on a connection that is held,
as those of one transaction are, but for the last: it takes one from the pool each time, and so does its floor.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
from cryptography.fernet import Fernet

from bench.bare import bare_connection, bare_pool
from bench.harness import Scenario, Target, repeated
from bench.stands import Stand, Stands
from cypher import sqlfiles
from cypher.postgres import Database, Executor
from cypher.repositories import Repositories
from cypher.repositories.session_fields import OpenedSessions
from cypher.repositories.sessions import SessionRepository
from cypher.repositories.users import USERNAME

CALLS = 100
FIND_USER = sqlfiles.load("users").find_by_username.sql
GET_SESSION = sqlfiles.load("sessions").get_session.sql
#: About as long as a name, an address or a browser's name.
VALUE = bytes(32)

Operation = Callable[[], Awaitable[object]]


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    for size in stands.sizes:
        stand = await stands.of(size)
        database = await Database.open(stand.postgres, lambda run: run)
        try:
            async with (
                stand.open_.db.connection() as repos,
                database.connection() as run,
                bare_connection(stand.postgres) as bare,
                bare_pool(stand.postgres) as pool,
            ):
                await _assert_answers(stand, repos)
                mine, least = Mine(stand, repos, run), Least(stand)
                user, session = least.user(bare), least.session
                yield _scenario("user by name", size, mine.user, user, "fetchrow, 1 open")
                yield _scenario("session by id", size, mine.session, session(bare, opened=3), "fetchrow, 3 opens")
                known, bare_session = mine.known_session, session(bare, opened=0)
                yield _scenario("session by id, opened lately", size, known, bare_session, "fetchrow")
                pooled = least.user(pool)
                yield _scenario("user by name, off the pool", size, mine.pooled_user, pooled, "pool.fetchrow, 1 open")
        finally:
            await database.close()


def _scenario(name: str, size: int, operation: Operation, floor: Operation, floor_name: str) -> Scenario:
    return Scenario(
        name=f"{name}, {size:,} rows",
        work=repeated(operation, CALLS),
        floor=repeated(floor, CALLS),
        floor_name=floor_name,
        size=CALLS,
        target=Target(ratio=1.3),
    )


async def _assert_answers(stand: Stand, repos: Repositories) -> None:
    """Read everybody, after which each session was opened lately."""
    for person in stand.people:
        user = await repos.users.find_by_username(person.username)
        session = await repos.sessions.get_session(person.session_id)
        assert user
        assert session
        assert (user.id, session.username) == (person.user_id, person.username)


class Mine:
    """Reads one person after another through the repositories."""

    def __init__(self, stand: Stand, repos: Repositories, run: Executor) -> None:
        self._open = stand.open_
        self._repos = repos
        self._run = run
        self._turns = itertools.cycle(stand.people)

    async def user(self) -> None:
        await self._repos.users.find_by_username(next(self._turns).username)

    async def pooled_user(self) -> None:
        async with self._open.db.connection() as repos:
            await repos.users.find_by_username(next(self._turns).username)

    async def session(self) -> None:
        unremembered = SessionRepository(self._run, self._open.codec, OpenedSessions(self._open.codec))
        await unremembered.get_session(next(self._turns).session_id)

    async def known_session(self) -> None:
        await self._repos.sessions.get_session(next(self._turns).session_id)


class Least:
    """Fetches the same rows, and opens as many values."""

    def __init__(self, stand: Stand) -> None:
        self._fernet = Fernet(Fernet.generate_key())
        self._token = self._fernet.encrypt(VALUE)
        index = stand.open_.index
        self._indexes = itertools.cycle([[index.index(person.username, USERNAME)] for person in stand.people])
        self._session_ids = itertools.cycle([person.session_id for person in stand.people])

    def user(self, run: asyncpg.Connection | asyncpg.Pool) -> Operation:
        async def fetch() -> None:
            assert await run.fetchrow(FIND_USER, next(self._indexes))
            self._fernet.decrypt(self._token)

        return fetch

    def session(self, run: asyncpg.Connection, *, opened: int) -> Operation:
        async def fetch() -> None:
            assert await run.fetchrow(GET_SESSION, next(self._session_ids))
            for _ in range(opened):
                self._fernet.decrypt(self._token)

        return fetch
