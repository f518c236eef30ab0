"""People who log in, look, refresh and log out while something breaks; what they were told must hold afterwards."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import aiohttp

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import load
from cypher.repositories.sealed_columns import COLUMNS
from tests.acceptance.person import Answer, Person

#: Every request ends within five seconds; two more for a machine that other tests keep busy.
SECONDS = 7.0


@dataclass
class Session:
    person: Person
    access_token: str
    refresh_token: str


@dataclass
class Lives:
    """Each person lives one session after the other, every request on the next instance."""

    http: aiohttp.ClientSession
    urls: Sequence[str]
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    people: list[Person] = field(default_factory=list)  #: who was told that they are registered
    logins: int = 0  #: how often somebody was told that they are logged in
    ended: list[Session] = field(default_factory=list)  #: of which somebody was told that they are over
    kept: list[Session] = field(default_factory=list)  #: which nobody has tried to end

    def __post_init__(self) -> None:
        self._urls = itertools.cycle(self.urls)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, count: int) -> None:
        self._tasks = [asyncio.create_task(self._live(f"person-{number}")) for number in range(count)]

    async def end(self) -> None:
        """Let everybody come to the end of what they do."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def until(self, logins: int) -> None:
        """Wait until so many more have logged in."""
        wanted = self.logins + logins
        async with asyncio.timeout(120):
            while self.logins < wanted:
                await asyncio.sleep(0.02)

    async def _live(self, name: str) -> None:
        for turn in itertools.count():
            if self._stopping.is_set():
                return
            person = Person(self.http, next(self._urls), f"{name}-{turn // 5}")
            if turn % 5 == 0:
                if await self._register(person):
                    self.people.append(person)
            elif await self._live_a_session(person, ends=turn % 2 == 0) is None:
                await asyncio.sleep(0.05)  # refused: it is of no use to ask in a tight loop

    async def _register(self, person: Person) -> bool:
        started, state = await self._timed(person.start_registration())
        return started.status == 200 and (await self._told(person.finish_registration(started, state))).status == 201

    async def _live_a_session(self, person: Person, *, ends: bool) -> Session | None:
        started, state = await self._timed(person.start_login())
        if started.status != 200 or person.username not in {each.username for each in self.people}:
            return None
        login = await self._told(person.post("/v1/login/finish", person.prove(started, state)))
        if login.status != 200:
            return None
        self.logins += 1
        session = Session(person, login.body["access_token"], login.body["refresh_token"])
        person.url = next(self._urls)
        await self._told(person.session(session.access_token))
        refreshed = await self._told(person.refresh(session.refresh_token))
        if refreshed.status == 200:
            session.refresh_token = refreshed.body["refresh_token"]
        if not ends:
            self.kept.append(session)
        elif (await self._told(person.bearing("DELETE", "/v1/session", session.access_token))).status == 204:
            self.ended.append(session)
        return session

    async def _timed(self, call: Awaitable[tuple[Answer, bytes]]) -> tuple[Answer, bytes]:
        began = time.monotonic()
        answer, state = await call
        self._count(answer, began)
        return answer, state

    async def _told(self, call: Awaitable[Answer]) -> Answer:
        began = time.monotonic()
        answer = await call
        self._count(answer, began)
        return answer

    def _count(self, answer: Answer, began: float) -> None:
        self.statuses[answer.status] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status == 503:
            assert "Retry-After" in answer.headers

    async def assert_all_held(self) -> None:
        """Nothing but 2xx, 4xx and 503, each in time; what was acknowledged is there, and what is over stays so."""
        assert all(200 <= status < 500 or status == 503 for status in self.statuses), self.statuses
        assert self.slowest < SECONDS
        for url in self.urls:
            for session in self.ended:
                session.person.url = url
                assert (await session.person.session(session.access_token)).status == 401
            for session in self.kept:
                session.person.url = url
                assert (await session.person.session(session.access_token)).status == 200
        for session in self.ended:
            assert (await session.person.refresh(session.refresh_token)).status == 400
        for person in self.people:
            assert (await person.login()).status == 200


async def recovered(http: aiohttp.ClientSession, urls: Sequence[str], person: Person) -> float:
    """Wait until somebody can log in on every instance; return how many seconds that took."""
    began = time.monotonic()
    async with asyncio.timeout(60):
        for url in urls:
            person.url = url
            while (await _logs_in(person)) != 200:
                await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _logs_in(person: Person) -> int:
    started, state = await person.start_login()
    if started.status != 200:
        return started.status
    return (await person.post("/v1/login/finish", person.prove(started, state))).status


async def count_opened(environment: dict[str, str]) -> int:
    """Open every sealed value; return how many there are."""
    opened = 0
    async with resources(load(environment, None), SystemClock()) as open_, open_.db.connection() as repos:
        for column in COLUMNS:
            for each in await repos.sealed_columns.list_stale(column, "none", column.before_all, 100_000):
                await open_.codec.open(each.sealed, each.cell)
                opened += 1
    return opened
