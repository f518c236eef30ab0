"""People who register, log in, look at their session, refresh, log out, and try again when told to.

Each request goes to the next instance, so that the two halves of a flow, and what is sent twice at once, meet both.

Each step knows which answers are right at any time; what else comes is written down as broken. A 503 or a connection
that broke says nothing about what was done: the step is asked again, as a client would.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import aiohttp

from tests.acceptance.person import Answer, Person
from tests.faults.books import Books, Invariant, Login

#: Between two steps of one person; with three of them some 30 requests a second.
PAUSE = 0.03
AGAIN = 0.1
TRIES = 10
HEALTH_SECONDS = 0.25
#: So many sessions are left alone.
FEW = 5
#: A refresh may be asked again when the second time begins within this, so that it is decided within its 10 s of grace.
GRACE = 5.0
#: How long somebody asks again before giving up; longer than any fault lasts.
PATIENCE = 20.0
SESSION = "GET /v1/session"
#: Everything that people do, whoever they are.
ROUTES = (
    SESSION,
    "DELETE /v1/session",
    *(f"POST {path}" for path in ("/v1/registration/finish", "/v1/login/finish", "/oauth/token")),
)


@dataclass
class Caller(Person):
    """A person whose every request is written down, and goes to the next of `urls`."""

    books: Books = field(default_factory=Books, kw_only=True)
    urls: Iterator[str] = field(default_factory=lambda: iter(()), kw_only=True)

    def at(self, url: str) -> "Caller":
        """Return the same person, who speaks to one instance only."""
        return replace(self, urls=itertools.repeat(url))

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        began = time.monotonic()
        self.url = next(self.urls, self.url)
        try:
            answer = await super().ask(method, path, **options)
        except (aiohttp.ClientError, OSError) as exc:
            answer = Answer(0, type(exc).__name__)
        except AssertionError as exc:  # of whoever compares answers with /openapi.json
            answer = Answer(0, str(exc))
            self.books.breaks(Invariant.ANSWERS, str(exc))
        self.books.note(began, f"{method} {path}", answer)
        return answer

    async def record_in_thread(self, started: Answer, state: bytes) -> dict[str, str]:
        return await asyncio.to_thread(self.record, started, state)

    async def prove_in_thread(self, started: Answer, state: bytes) -> dict[str, Any]:
        return await asyncio.to_thread(self.prove, started, state)

    async def log_out(self, access_token: str) -> Answer:
        return await self.bearing("DELETE", "/v1/session", access_token)


def is_no_answer(answer: Answer) -> bool:
    return answer.status in (0, 503)


async def insist(call: Callable[[], Awaitable[Answer]], *, seconds: float = PATIENCE) -> Answer:
    """Ask until there is an answer; the last 503 when there is none in this time."""
    end = time.monotonic() + seconds
    while is_no_answer(answer := await call()) and time.monotonic() < end:
        await asyncio.sleep(AGAIN)
    return answer


async def begin(step: Callable[[], Awaitable[tuple[Answer, bytes]]]) -> tuple[Answer, bytes]:
    """Ask for the first half of a flow, likewise."""
    begun: list[tuple[Answer, bytes]] = []

    async def ask() -> Answer:
        begun.append(await step())
        return begun[-1][0]

    await insist(ask)
    return begun[-1]


class Traffic:
    """Some people at once, each living one life after the other."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], books: Books, seed: int = 1) -> None:
        """Take the addresses of one service's instances."""
        self.http = http
        self.urls = urls
        self._turns = itertools.cycle(urls)
        self.books = books
        self.caller = Caller  #: what people are from now on
        self._random = random.Random(seed)
        self._names = itertools.count()

    def somebody(self) -> Caller:
        name = f"person-{next(self._names)}"
        return self.caller(self.http, self.urls[0], name, books=self.books, urls=self._turns)

    @asynccontextmanager
    async def flowing(self, people: int, *others: Coroutine[None, None, None]) -> AsyncIterator[None]:
        """Let people live inside the block, and others; whoever is in the middle of a life at its end is cut off."""
        lives = (self._live() for _ in range(people))
        beside = (self._look_around(), self._end_some(), self._ask_health(), self._watch_the_clock())
        tasks = [asyncio.create_task(work) for work in (*lives, *beside, *others)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for each in ended:
            if isinstance(each, Exception):
                raise each

    async def _look_around(self) -> None:
        """Look at sessions while others wait for their next step to be answered."""
        while True:
            await asyncio.sleep(PAUSE)
            if self.books.living:
                await self.look(self._random.choice(self.books.living))

    async def _end_some(self) -> None:
        """Refresh and end others' sessions, so that both are always asked for."""
        while True:
            await asyncio.sleep(5 * PAUSE)
            if len(self.books.living) > FEW:
                await self._random.choice((self.refresh, self.log_out))(self._random.choice(self.books.living))

    async def _ask_health(self) -> None:
        """Ask what a balancer asks."""
        while True:
            await asyncio.sleep(HEALTH_SECONDS)
            phase, operator = self.books.phase, Person(self.http, next(self._turns), "operator")
            try:
                said = (await operator.ask("GET", "/health/ready")).body["status"]
            except (aiohttp.ClientError, OSError):
                said = "nothing"
            self.books.health[phase][said] += 1

    async def _watch_the_clock(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            self.books.stood_still = max(self.books.stood_still, time.monotonic() - began - 0.01)

    async def _live(self) -> None:
        while True:
            await self.live()
            await asyncio.sleep(PAUSE)

    async def live(self) -> None:
        """Go through one life; some others end its session later."""
        person = self.somebody()
        if not await self.register(person):
            return
        login = await self.log_in(person)
        if login is None:
            return
        for step in (self.look, self.refresh, self.look):
            await asyncio.sleep(PAUSE)
            if login not in self.books.living:
                return
            await step(login)

    async def register(self, person: Caller) -> bool:
        """Register; finished twice, it must give the same person."""
        started, state = await begin(person.start_registration)
        if started.status != 200:
            return self._unexpected("registration/start", started, ())
        body = await person.record_in_thread(started, state)
        made: set[str] = set()
        for _ in range(2):
            finished = await insist(lambda: person.post("/v1/registration/finish", body))
            if finished.status != 201:
                return self._unexpected("registration/finish", finished, (410,))
            made.add(finished.body["user"]["id"])
            self.books.registered[finished.body["user"]["id"]] = person
        if len(made) != 1:
            self.books.breaks(Invariant.ONCE, "one registration has made two people")
        return True

    async def log_in(self, person: Caller) -> Login | None:
        """Log in; the proof is sent twice at once, and may make one session."""
        started, state = await begin(person.start_login)
        if started.status != 200:
            self._unexpected("login/start", started, ())
            return None
        proof = await person.prove_in_thread(started, state)
        both = await asyncio.gather(*(person.post("/v1/login/finish", proof) for _ in range(2)))
        made = [answer for answer in both if answer.status == 200]
        if len(made) > 1:
            self.books.breaks(Invariant.ONCE, "one proof has made two sessions")
        for answer in both:
            if answer.status not in (200, 410) and not is_no_answer(answer):
                self._unexpected("login/finish", answer, ())
        if not made:
            return None
        said = made[0].body
        login = Login(person, proof, said["session"]["id"], said["access_token"], said["refresh_token"])
        self.books.living.append(login)
        return login

    async def log_in_at_last(self, person: Caller) -> Login:
        """Log in where it must be possible: whatever was in the way is over after some tries."""
        for _ in range(TRIES):
            if login := await self.log_in(person):
                return login
            await asyncio.sleep(AGAIN)
        self.books.breaks(Invariant.WRITTEN, "somebody who was registered cannot log in")
        raise AssertionError(self.books.broken)

    async def look(self, login: Login) -> Answer:
        answer = await login.person.session(login.access_token)
        # Whoever has asked for its end meanwhile gets another answer.
        if login in self.books.living and not is_no_answer(answer):
            if answer.status != 200:
                self.books.breaks(Invariant.WRITTEN, f"a living session is answered {answer.status}: {answer.body}")
            elif answer.body["id"] != login.session_id:
                self.books.breaks(Invariant.ANSWERS, "another session was answered")
        return answer

    async def refresh(self, login: Login) -> None:
        """Exchange the refresh token, twice at once: both get the same successor, as does whoever asks again."""
        self.books.living.remove(login)
        old = login.refresh_token
        both = await asyncio.gather(*(insist(partial(login.person.refresh, old), seconds=GRACE) for _ in range(2)))
        if any(map(is_no_answer, both)):
            return  # nobody knows: a token that is shown later is taken for stolen
        if [answer.status for answer in both] != [200, 200]:
            self.books.breaks(Invariant.WRITTEN, f"a good refresh token is answered {[each.body for each in both]}")
            return
        if len({answer.body["refresh_token"] for answer in both}) > 1:
            self.books.breaks(Invariant.ONCE, "one refresh token has two successors")
        login.spent.append(old)
        login.access_token, login.refresh_token = both[0].body["access_token"], both[0].body["refresh_token"]
        self.books.living.append(login)

    async def log_out(self, login: Login) -> None:
        """Log out until it is acknowledged; from then on nobody gets in, wherever they knock."""
        self.books.living.remove(login)
        answer = await insist(lambda: login.person.log_out(login.access_token))
        if answer.status != 204:
            self._unexpected("logout", answer, ())
            return
        self.books.ended.append(login)
        await self.require_ended(login)

    async def require_ended(self, login: Login) -> None:
        for person in map(login.person.at, self.urls):
            for ask, token, right in (
                (person.session, login.access_token, 401),
                (person.refresh, login.refresh_token, 400),
            ):
                answer = await insist(partial(ask, token))
                if answer.status != right and not is_no_answer(answer):
                    self.books.breaks(Invariant.ENDED, f"after its logout a session is answered {answer.status}")

    def _unexpected(self, step: str, answer: Answer, right: tuple[int, ...]) -> bool:
        if answer.status not in right and not is_no_answer(answer):
            self.books.breaks(Invariant.WRITTEN, f"{step} was answered {answer.status}: {answer.body}")
        return False
