"""Keys change while people use the service, and nobody notices."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import load
from cypher.crypto.keyring import Purpose, State
from cypher.repositories.sealed_columns import COLUMNS
from tests.acceptance.person import Answer, Person

PER_SECOND = 50
#: What a request is, in turn: each person's argon2id would take all of this machine if everybody logged in.
TURN = ("register", "login", *("refresh",) * 6, *("session",) * 17)
WHAT = {"registration/start", "registration/finish", "login/start", "login/finish", "refresh", "session"}


@dataclass
class Member:
    """Somebody who is logged in."""

    person: Person
    access_token: str
    refresh_token: str
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def join(cls, person: Person) -> "Member":
        assert (await person.register()).status == 201
        login = await person.login()
        return cls(person, login.body["access_token"], login.body["refresh_token"])


class Traffic:
    """A steady stream of requests on both instances; every answer is kept."""

    def __init__(self, urls: tuple[str, str], members: list[Member]) -> None:
        self.answers: Counter[tuple[str, int, str | None]] = Counter()
        self._urls = itertools.cycle(urls)
        self._members = members
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self.started = 0
        self.seconds = 0.0

    async def flow(self) -> None:
        """Start fifty requests a second until cancelled."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        for number in itertools.count():
            self.started, self.seconds = number, loop.time() - began
            task = asyncio.create_task(self._one(number))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def settle(self) -> None:
        await asyncio.gather(*self._running)

    async def _one(self, number: int) -> None:
        member = self._members[number % len(self._members)]
        person = replace(member.person, url=next(self._urls))
        what = TURN[number % len(TURN)]
        if what == "register":
            newcomer = replace(person, username=f"newcomer-{next(self._numbers)}")
            started, state = await newcomer.start_registration()
            self._count("registration/start", started)
            if started.status == 200:
                self._count("registration/finish", await newcomer.finish_registration(started, state))
        elif what == "login":
            await self._login(person)
        elif what == "refresh":
            async with member.turn:
                answer = await person.refresh(member.refresh_token)
                self._count("refresh", answer)
                member.refresh_token = answer.body.get("refresh_token", member.refresh_token)
        else:
            self._count("session", await person.session(member.access_token))

    async def _login(self, person: Person) -> None:
        started, state = await person.start_login()
        self._count("login/start", started)
        if started.status == 200:
            self._count("login/finish", await person.post("/v1/login/finish", person.prove(started, state)))

    def _count(self, what: str, answer: Answer) -> None:
        code = answer.body.get("code") or answer.body.get("error") if answer.status >= 400 else None
        self.answers[what, answer.status, code] += 1


@pytest.mark.slow
async def test_five_rotations_and_re_encryptions_under_traffic_fail_no_request(
    two_processes, environment, run_cli, http
) -> None:
    members = [await Member.join(Person(http, two_processes[0], f"person-{number}")) for number in range(10)]
    operator = SimpleNamespace(environment=environment)
    traffic = Traffic(two_processes, members)
    flow = asyncio.create_task(traffic.flow())
    for _ in range(3):
        await succeed(run_cli(operator, "keys", "rotate"))
        await asyncio.sleep(1)
    # From one cipher to the other, all that three keys have left behind, and back.
    for algorithm in ("aes-256-gcm", "fernet"):
        await succeed(run_cli(operator, "keys", "rotate", "--algorithm", algorithm))
        assert await succeed(run_cli(operator, "keys", "reencrypt"))
    flow.cancel()
    await traffic.settle()
    assert {status for _, status, _ in traffic.answers} <= {200, 201}, traffic.answers
    assert {what for what, _, _ in traffic.answers} == WHAT
    assert traffic.answers.total() >= traffic.started >= 0.95 * PER_SECOND * traffic.seconds
    # What was written under the key before, while the sweep ran, is what the next sweep finds.
    await succeed(run_cli(operator, "keys", "reencrypt"))
    await assert_every_value_opens_under_one_key(environment)


async def succeed(command: Awaitable[CompletedProcess[str]]) -> str:
    done = await command
    assert done.returncode == 0, done.stderr
    return done.stdout


async def assert_every_value_opens_under_one_key(environment: dict[str, str]) -> None:
    async with resources(load(environment, None), SystemClock()) as open_:
        keys = open_.ring.live(Purpose.DATA)
        assert [key.state for key in keys] == [State.ACTIVE] + [State.DECRYPT_ONLY] * 5
        opened = 0
        async with open_.db.connection() as repos:
            for column in COLUMNS:
                for each in await repos.sealed_columns.list_stale(column, "none", column.before_all, 100_000):
                    assert each.sealed.key_id == keys[0].id
                    await open_.codec.open(each.sealed, each.cell)
                    opened += 1
        assert opened > 100
