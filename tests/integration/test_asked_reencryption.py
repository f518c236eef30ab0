"""Re-encryption that an operator asks for: one run over all instances, beside the background's, and in the trail."""

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import pytest

from cypher.auth.audit import Audit
from cypher.auth.source import Source
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import PostgresUnavailable
from cypher.maintenance.asked_reencryption import AskedReencryption
from cypher.maintenance.reencryption import Progress, Reencryption
from cypher.repositories.deployment import DeploymentRepository
from tests.factories import as_owner, insert_person

CLOCK = SystemClock()
OPERATOR = UUID("01900000-0000-7000-8000-000000000007")
SOURCE = Source(address="::1", user_agent="", request_id="request-1", operator=OPERATOR)
ENTRIES = "SELECT action, actor_id FROM audit_logs WHERE action LIKE 'crypto.reencryption.%' ORDER BY id"


class Gate(Reencryption):
    """A run that waits at its beginning, if a test wants it to, and then does what any run does."""

    def __init__(self, *, going_on: asyncio.Event, **more) -> None:
        super().__init__(**more)
        self._going_on = going_on

    async def run(self, report=lambda progress: None) -> Progress:
        await self._going_on.wait()
        return await super().run(report)


@pytest.fixture
def going_on() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@pytest.fixture
async def make_instance(db, ring: KeyRing, codec: FieldCodec, going_on: asyncio.Event):
    """Make what one instance has; all share a database and a key ring."""
    async with AsyncExitStack() as stack:

        def make() -> AskedReencryption:
            made = AskedReencryption(
                db=db,
                ring=ring,
                audit=Audit(CLOCK, BlindIndex(ring)),
                make=lambda rate: Gate(going_on=going_on, db=db, ring=ring, codec=codec, clock=CLOCK, rate=rate),
            )
            stack.push_async_callback(made.stop)
            return made

        yield make


@pytest.fixture
def instance(make_instance) -> AskedReencryption:
    return make_instance()


async def rotated(db, ring: KeyRing, people: int = 1) -> str:
    for _ in range(people):
        await insert_person(db)
    return (await asyncio.to_thread(rotate, ring, Purpose.DATA)).id


async def ended(instance: AskedReencryption):
    """Wait until nobody moves anything any more, and return how it stands."""
    async with asyncio.timeout(20):
        while (status := await instance.status()).is_running:
            await asyncio.sleep(0.01)
    return status


@asynccontextmanager
async def in_the_background(db):
    """What the service does by itself goes on inside the block."""
    async with db.transaction() as repos:
        assert await repos.deployment.try_reencryption()
        yield


async def test_everything_is_moved_and_the_trail_says_who_asked(db, ring, instance, postgres_config) -> None:
    key_id = await rotated(db, ring)
    before = await instance.status()
    assert (before.active_key, before.remaining, before.is_running) == (key_id, 2, False)
    await instance.start(None, SOURCE)
    after = await ended(instance)
    assert (after.active_key, after.remaining, after.is_running) == (key_id, 0, False)
    assert as_owner(postgres_config, ENTRIES) == [
        ("crypto.reencryption.started", str(OPERATOR)),
        ("crypto.reencryption.completed", str(OPERATOR)),
    ]


async def test_there_is_one_run_however_often_and_wherever_it_is_asked_for(
    db, ring, make_instance, going_on: asyncio.Event, postgres_config
) -> None:
    await rotated(db, ring)
    going_on.clear()
    instances = [make_instance() for _ in range(3)]
    await asyncio.gather(*(instance.start(None, SOURCE) for instance in instances * 5))
    assert [(await instance.status()).is_running for instance in instances] == [True] * 3
    assert [action for action, _ in as_owner(postgres_config, ENTRIES)] == ["crypto.reencryption.started"]
    going_on.set()
    assert (await ended(instances[0])).remaining == 0
    await instances[1].start(None, SOURCE)
    await ended(instances[1])
    assert len(as_owner(postgres_config, ENTRIES)) == 4


async def test_it_goes_on_beside_the_one_in_the_background(db, ring, instance) -> None:
    await rotated(db, ring)
    async with in_the_background(db):
        assert (await instance.status()).is_running
        await instance.start(None, SOURCE)
        async with asyncio.timeout(20):
            while (await instance.status()).remaining:
                await asyncio.sleep(0.01)
    assert not (await ended(instance)).is_running


async def test_the_one_in_the_background_is_not_kept_from_its_work(db, ring, instance, going_on) -> None:
    await rotated(db, ring)
    going_on.clear()
    await instance.start(None, SOURCE)
    async with in_the_background(db):
        going_on.set()
        async with asyncio.timeout(20):
            while (await instance.status()).remaining:
                await asyncio.sleep(0.01)


async def test_another_database_on_the_same_server_is_another_matter(
    instance, other_postgres_config, ring, codec
) -> None:
    from cypher.postgres import Database
    from cypher.repositories import repositories_over

    other = await Database.open(other_postgres_config, repositories_over(ring, codec, BlindIndex(ring)))
    try:
        async with in_the_background(other):
            assert not (await instance.status()).is_running
    finally:
        await other.close()


async def test_a_run_that_is_stopped_is_over_and_can_be_asked_for_again(db, ring, instance, going_on) -> None:
    await rotated(db, ring)
    going_on.clear()
    await instance.start(None, SOURCE)
    await instance.stop()
    stopped = await instance.status()
    assert (stopped.remaining, stopped.is_running) == (2, False)
    going_on.set()
    await instance.start(None, SOURCE)
    assert (await ended(instance)).remaining == 0


async def test_the_rate_is_kept(db, ring, instance) -> None:
    await rotated(db, ring, people=3)
    began = CLOCK.monotonic()
    await instance.start(6, SOURCE)
    assert (await ended(instance)).remaining == 0
    assert CLOCK.monotonic() - began >= 0.9


async def test_what_cannot_be_recorded_is_not_begun(db, ring, instance, monkeypatch, postgres_config) -> None:
    await rotated(db, ring)

    async def away(self, *arguments) -> None:
        raise PostgresUnavailable

    monkeypatch.setattr(Audit, "record", away)
    with pytest.raises(PostgresUnavailable):
        await instance.start(None, SOURCE)
    assert (await instance.status()).remaining == 2
    monkeypatch.undo()
    await instance.start(None, SOURCE)
    assert (await ended(instance)).remaining == 0


async def test_without_a_lock_nothing_is_begun(db, ring, instance, monkeypatch, postgres_config) -> None:
    await rotated(db, ring)

    async def away(self) -> bool:
        raise PostgresUnavailable

    monkeypatch.setattr(DeploymentRepository, "try_asked_reencryption", away)
    with pytest.raises(PostgresUnavailable):
        await instance.start(None, SOURCE)
    assert as_owner(postgres_config, ENTRIES) == []


async def test_a_run_that_is_cut_off_is_said_in_the_log(
    db, ring, instance, going_on, servers, postgres_config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    await rotated(db, ring)
    going_on.clear()
    await instance.start(None, SOURCE)
    with servers.superuser() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE d.datname = %s AND l.locktype = 'advisory'",
            [postgres_config.database],
        )
    going_on.set()
    async with asyncio.timeout(20):
        while "cut off" not in caplog.text:
            await asyncio.sleep(0.01)
    assert (await ended(instance)).remaining == 0
