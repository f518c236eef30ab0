"""Notices reach the mailer beside the requests: again when it is away, never without bound, none written down."""

import asyncio
import logging
from datetime import UTC, datetime
from uuid import UUID

import pytest

from cypher.auth.deliveries import AT_ONCE, Deliveries
from cypher.auth.recovery_requests import Notice
from cypher.errors import PostgresUnavailable
from cypher.web.webhook import signature

TOKEN = "cyv_canary-token"


def notice(number: int) -> Notice:
    return Notice(
        id=UUID(int=number),
        username="canary-name",
        user_id=UUID(int=0),
        recovery_token=TOKEN,
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Requests:
    """What waits: a notice, a name that nobody has (None), or a database that is away."""

    def __init__(self, *waiting: Notice | Exception | None) -> None:
        self._waiting: asyncio.Queue[Notice | Exception | None] = asyncio.Queue()
        for each in waiting:
            self._waiting.put_nowait(each)

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()

    async def next_notice(self) -> Notice | None:
        found = await self._waiting.get()
        if isinstance(found, Exception):
            raise found
        return found


class Mailer:
    """Takes a notice at its `takes_at`-th try."""

    def __init__(self, takes_at: int = 1) -> None:
        self.tries: list[UUID] = []
        self.at_once = 0
        self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self._takes_at = takes_at

    async def deliver(self, each: Notice) -> bool:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1
        self.tries.append(each.id)
        return self.tries.count(each.id) >= self._takes_at


async def run(requests: Requests, mailer: Mailer, **options) -> None:
    """Work until all that waits is taken, and settle."""
    deliveries = Deliveries(requests, mailer.deliver, **options)
    work = asyncio.create_task(deliveries.work())
    while requests.waiting:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await deliveries.settle()


async def test_each_notice_is_delivered_once_and_an_unknown_name_is_none() -> None:
    mailer = Mailer()
    await run(Requests(notice(1), None, notice(2)), mailer)
    assert sorted(mailer.tries) == [UUID(int=1), UUID(int=2)]


async def test_a_mailer_that_is_away_is_asked_again_and_then_given_up(caplog: pytest.LogCaptureFixture) -> None:
    mailer = Mailer(takes_at=3)
    await run(Requests(notice(1)), mailer, pauses=(0.0, 0.0, 0.0))
    assert mailer.tries == [UUID(int=1)] * 3
    assert caplog.records == []
    mailer = Mailer(takes_at=4)
    await run(Requests(notice(1)), mailer, pauses=(0.0, 0.0, 0.0))
    assert mailer.tries == [UUID(int=1)] * 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "canary" not in caplog.text


async def test_a_slow_mailer_has_few_calls_at_once_and_keeps_nobody_waiting_for_its_answer() -> None:
    mailer = Mailer()
    mailer.open.clear()
    requests = Requests(*(notice(number) for number in range(20)))
    deliveries = Deliveries(requests, mailer.deliver)
    work = asyncio.create_task(deliveries.work())
    while requests.waiting:  # all are in hand before the first is answered
        await asyncio.sleep(0)
    while mailer.at_once < AT_ONCE:
        await asyncio.sleep(0)
    assert mailer.tries == []
    mailer.open.set()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await deliveries.settle()
    assert len(set(mailer.tries)) == 20
    assert mailer.most_at_once == AT_ONCE


async def test_what_is_too_much_is_dropped_and_said(caplog: pytest.LogCaptureFixture) -> None:
    mailer = Mailer()
    mailer.open.clear()
    requests = Requests(*(notice(number) for number in range(5)))
    deliveries = Deliveries(requests, mailer.deliver, most=3)
    work = asyncio.create_task(deliveries.work())
    while len(caplog.records) < 2:
        await asyncio.sleep(0)
    mailer.open.set()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await deliveries.settle()
    assert len(mailer.tries) == 3
    assert "canary" not in caplog.text


async def test_what_waits_at_the_end_is_still_delivered() -> None:
    mailer = Mailer()
    deliveries = Deliveries(Requests(notice(1), None, notice(2)), mailer.deliver)
    await deliveries.settle()
    assert sorted(mailer.tries) == [UUID(int=1), UUID(int=2)]


async def test_the_end_does_not_wait_for_ever_and_says_how_many_were_lost(caplog: pytest.LogCaptureFixture) -> None:
    mailer = Mailer()
    mailer.open.clear()
    deliveries = Deliveries(Requests(notice(1), notice(2)), mailer.deliver)
    await deliveries.settle(seconds=0.01)
    assert [record.getMessage() for record in caplog.records] == [
        "2 notice(s) did not reach RECOVERY_WEBHOOK before the end"
    ]


async def test_a_database_that_is_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cypher.auth.deliveries.REST_SECONDS", 0.0)
    mailer = Mailer()
    await run(Requests(PostgresUnavailable(), notice(1)), mailer)
    assert mailer.tries == [UUID(int=1)]


async def test_a_fault_of_ours_is_said_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(each: Notice) -> bool:
        raise RuntimeError(each.recovery_token)

    deliveries = Deliveries(Requests(notice(1)), fail)
    await deliveries.settle()
    await asyncio.sleep(0)
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_a_notice_does_not_show_its_token() -> None:
    assert "canary" not in repr(notice(1)) + str([notice(1)])


def test_a_signature_is_the_one_that_a_receiver_computes() -> None:
    # openssl dgst -sha256 -hmac 'secret' over '1767225600.{}'
    assert signature("secret", "1767225600", b"{}") == (
        "v1=" + "fa7eaa06bf97d7815f3f456e97cde70c9e50cb005f01660c8d10b10c21964887"
    )
