"""Keys change while people use the service, and nobody notices."""

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import load
from cypher.crypto.keyring import Purpose, State
from cypher.repositories.sealed_columns import COLUMNS
from tests.acceptance.person import Person

PER_SECOND = 50


class Traffic:
    """A steady stream of requests on both instances; every answer is kept."""

    def __init__(self, http, urls: tuple[str, str], people: list[tuple[Person, str]]) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self._http = http
        self._urls = itertools.cycle(urls)
        self._people = people
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()

    async def flow(self) -> None:
        """Start fifty requests a second until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in itertools.count():
            task = asyncio.create_task(self._one(number))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def settle(self) -> None:
        await asyncio.gather(*self._running)

    async def _one(self, number: int) -> None:
        person, token = self._people[number % len(self._people)]
        person = replace(person, url=next(self._urls))
        if number % 25 == 0:
            newcomer = replace(person, username=f"newcomer-{next(self._numbers)}")
            self._count("register", (await newcomer.register()).status)
        elif number % 10 == 1:
            self._count("login", (await person.login()).status)
        elif number % 10 == 2:
            login = await person.login()
            self._count("refresh", (await person.refresh(login.body["refresh_token"])).status)
        else:
            self._count("session", (await person.session(token)).status)

    def _count(self, what: str, status: int) -> None:
        self.answers[what, status] += 1


async def test_five_rotations_and_a_re_encryption_under_traffic_fail_no_request(
    two_processes, environment, run_cli, http
) -> None:
    people = []
    for number in range(10):
        person = Person(http, two_processes[0], f"person-{number}")
        assert (await person.register()).status == 201
        people.append((person, (await person.login()).body["access_token"]))
    operator = SimpleNamespace(environment=environment)
    traffic = Traffic(http, two_processes, people)
    flow = asyncio.create_task(traffic.flow())
    for number in range(5):
        algorithm = ("--algorithm", "aes-256-gcm" if number % 2 else "fernet")
        rotated = await run_cli(operator, "keys", "rotate", *algorithm)
        assert rotated.returncode == 0, rotated.stderr
        await asyncio.sleep(1)
    moved = await run_cli(operator, "keys", "reencrypt")
    assert moved.returncode == 0, moved.stderr
    flow.cancel()
    await traffic.settle()
    assert {status for _, status in traffic.answers} <= {200, 201}, traffic.answers
    assert {what for what, _ in traffic.answers} == {"register", "login", "refresh", "session"}
    assert sum(traffic.answers.values()) > 200
    # What was written under the key before, while the sweep ran, is what the next sweep finds.
    assert (await run_cli(operator, "keys", "reencrypt")).returncode == 0
    await assert_every_value_opens_under_one_key(environment)


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
