"""Who asks for a recovery token, and has the name, gets it by the operator's mailer; nobody else hears of it."""

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from cypher.auth.deliveries import Deliveries
from cypher.clock import SystemClock
from cypher.config import load
from cypher.errors import PostgresUnavailable
from cypher.repositories.users import UserRepository
from cypher.serving import running
from tests.acceptance.new_passwords import NEW, opens, recover
from tests.acceptance.person import Person
from tests.acceptance.service import ROOT
from tests.factories import as_owner

SECRET = "a webhook secret that is long enough"


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def notice(self) -> dict[str, str]:
        read: dict[str, str] = json.loads(self.body)
        return read


@dataclass
class Mailer:
    """A receiver that answers as it is told, and at last 204."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(Received(dict(request.headers), await request.read()))
        await self.gate.wait()
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 307 else {})

    async def until(self, count: int) -> list[Received]:
        async with asyncio.timeout(20):
            while len(self.received) < count:
                await asyncio.sleep(0.02)
        return self.received


@pytest.fixture
async def mailer() -> AsyncIterator[Mailer]:
    mailer = Mailer()
    mailer.gate.set()
    app = web.Application()
    app.router.add_post("/{tail:.*}", mailer.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    mailer.url = f"http://{host}:{port}/hook?key=canary-in-the-url"
    yield mailer
    mailer.gate.set()
    await runner.cleanup()


@pytest.fixture
async def serve(environment, mailer: Mailer, http) -> AsyncIterator[Callable[..., Awaitable[Person]]]:
    """Run a whole service; returns somebody who is registered there."""
    async with AsyncExitStack() as stack:

        async def start(**settings: str) -> Person:
            webhook = {"RECOVERY_WEBHOOK": mailer.url, "RECOVERY_WEBHOOK_SECRET": SECRET}
            config = load({**environment, **webhook, **settings}, None)
            listeners = await stack.enter_async_context(running(config, SystemClock(), port=0))
            person = Person(http, f"http://127.0.0.1:{listeners.public.port}", "alice")
            await person.register()
            return person

        start.stop = stack.aclose
        yield start


async def ask(person: Person, username: str = "alice") -> None:
    answer = await person.post("/v1/recovery/request", {"username": username})
    assert (answer.status, answer.body) == (202, b"")


async def test_the_mailer_gets_a_signed_notice_and_its_token_recovers(serve, mailer: Mailer) -> None:
    person = await serve()
    await ask(person, "ALICE")
    [received] = await mailer.until(1)
    timestamp = received.headers["Cypher-Timestamp"]
    expected = hmac.new(SECRET.encode(), timestamp.encode() + b"." + received.body, hashlib.sha256).hexdigest()
    assert received.headers["Cypher-Signature"] == f"v1={expected}"
    assert abs(int(timestamp) - time.time()) < 30
    assert received.headers["Content-Type"] == "application/json"
    notice = received.notice
    assert set(notice) == {"id", "event", "username", "user_id", "recovery_token", "expires_at"}
    assert (notice["event"], notice["username"]) == ("recovery.requested", "alice")
    assert (await recover(person, notice["recovery_token"])).status == 204
    assert await opens(person, NEW)


async def test_the_receiver_of_the_documentation_takes_it_and_nothing_else(serve, mailer: Mailer) -> None:
    [source] = re.findall(
        r"```python\n(import hashlib.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL
    )
    receiver: dict[str, Any] = {}
    exec(source, receiver)
    await ask(await serve())
    [received] = await mailer.until(1)
    is_cyphers = receiver["is_cyphers"]
    assert is_cyphers(SECRET, received.headers, received.body)
    assert not is_cyphers(SECRET + "x", received.headers, received.body)
    assert not is_cyphers(SECRET, received.headers, received.body + b" ")
    for changed in ({"Cypher-Timestamp": "1767225600"}, {"Cypher-Signature": "v1=é"}, {"Cypher-Signature": ""}):
        assert not is_cyphers(SECRET, received.headers | changed, received.body)


async def test_nothing_is_sent_for_a_name_that_nobody_has(serve, mailer: Mailer) -> None:
    person = await serve()
    for name in ("nobody-has-this-name", "bob"):
        await ask(person, name)
    await ask(person)
    assert [received.notice["username"] for received in await mailer.until(1)] == ["alice"]
    await asyncio.sleep(0.2)
    assert len(mailer.received) == 1


@pytest.mark.parametrize("state", ["is_active = FALSE", "locked_until = now() + INTERVAL '1 hour'"])
async def test_nothing_is_sent_to_somebody_who_may_not_come_in(
    serve, mailer: Mailer, postgres_config, state: str
) -> None:
    person = await serve()
    bob = Person(person.http, person.url, "bob")
    await bob.register()
    as_owner(postgres_config, f"UPDATE users SET {state} WHERE created_at = (SELECT min(created_at) FROM users)")
    await ask(person)
    await ask(person, "bob")
    assert [received.notice["username"] for received in await mailer.until(1)] == ["bob"]
    assert as_owner(postgres_config, "SELECT count(*) FROM recovery_tokens") == [(1,)]


async def test_the_answer_does_not_wait_for_the_mailer(serve, mailer: Mailer) -> None:
    person = await serve()
    mailer.gate.clear()
    began = time.monotonic()
    for _ in range(3):
        await ask(person)
    assert time.monotonic() - began < 2
    assert len(await mailer.until(3)) == 3
    mailer.gate.set()


async def test_a_mailer_that_fails_gets_the_same_notice_again(
    serve, mailer: Mailer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    impatient = partial(Deliveries, pauses=(0.0, 0.05, 0.05, 0.05))
    monkeypatch.setattr("cypher.serving.Deliveries", impatient)
    mailer.answers = [500, 404, 307]
    person = await serve()
    await ask(person)
    received = await mailer.until(4)
    assert len({each.body for each in received}) == 1
    assert (await recover(person, received[0].notice["recovery_token"])).status == 204
    told = [record.getMessage() for record in caplog.records if record.name == "cypher.recovery"]
    assert told == [f"RECOVERY_WEBHOOK answers {status}" for status in (500, 404, 307)]
    # A redirect would have been a fifth call.
    await asyncio.sleep(0.2)
    assert len(mailer.received) == 4
    assert received[0].notice["recovery_token"] not in caplog.text
    assert "canary-in-the-url" not in caplog.text


async def test_a_mailer_that_is_not_there_is_said_without_its_address(
    serve, mailer: Mailer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # Given up at once: a service that stops gives five seconds to what it still has in hand.
    monkeypatch.setattr("cypher.serving.Deliveries", partial(Deliveries, pauses=(0.0,)))
    person = await serve(RECOVERY_WEBHOOK="http://127.0.0.1:9/canary-in-the-url")
    await ask(person)
    async with asyncio.timeout(10):
        while "RECOVERY_WEBHOOK does not answer" not in caplog.text:
            await asyncio.sleep(0.02)
    assert "canary-in-the-url" not in caplog.text
    assert (await person.login()).status == 200


async def test_what_was_asked_for_before_the_end_still_arrives(serve, mailer: Mailer) -> None:
    person = await serve()
    for _ in range(3):
        await ask(person)
    await serve.stop()
    assert len(mailer.received) == 3


async def test_a_request_survives_a_database_that_is_away_for_a_moment(
    serve, mailer: Mailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, failing = await serve(), [PostgresUnavailable()]
    find = UserRepository.find_by_username

    async def find_by_username(self: UserRepository, username: str) -> object:
        if failing:
            raise failing.pop()
        return await find(self, username)

    monkeypatch.setattr(UserRepository, "find_by_username", find_by_username)
    await ask(person)
    assert [received.notice["username"] for received in await mailer.until(1)] == ["alice"]
