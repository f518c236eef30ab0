"""A PostgreSQL that stops answering in the middle of what was asked of it keeps nobody waiting for its consent."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.errors import PostgresUnavailable
from cypher.maintenance.housekeeping import repeat
from cypher.postgres import Database, Executor
from tests.faulty_proxy import PostgresProxy

QUERIES = sqlfiles.parse(
    """\
-- name: insert_epoch :execrows
-- params: epoch
INSERT INTO deployment (epoch) VALUES ($1);

-- name: get_epoch :value
SELECT epoch FROM deployment;
""",
    "test.sql",
)
#: A statement's time, and the second more that the driver gives it.
STATEMENT_SECONDS = 0.2
DRIVERS_SECONDS = STATEMENT_SECONDS + 1
#: What may be added to it to leave everything as it should be.
A_MOMENT = 0.6


@pytest.fixture
async def proxy(postgres_config: PostgresConfig) -> AsyncIterator[tuple[PostgresProxy, PostgresConfig]]:
    async with PostgresProxy.before(postgres_config) as (proxy, config):
        yield proxy, replace(config, pool_max=1, statement_seconds=STATEMENT_SECONDS)


@pytest.fixture
async def raw(proxy: tuple[PostgresProxy, PostgresConfig]) -> AsyncIterator[Database[Executor]]:
    database = await Database.open(proxy[1], lambda run: run)
    yield database
    await database.close()


@pytest.fixture
def frozen(proxy: tuple[PostgresProxy, PostgresConfig]) -> PostgresProxy:
    return proxy[0]


@pytest.fixture(autouse=True)
async def nothing_is_left_to_the_loop(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """What the driver raises where nobody asks would end in the log as a traceback."""
    yield
    await asyncio.sleep(0.05)
    assert not [line for line in caplog.records if line.name == "asyncio" and line.levelname == "ERROR"]


async def insert(raw: Database[Executor], happens: Callable[[], None]) -> None:
    async with raw.transaction() as run:
        await run.execrows(QUERIES.insert_epoch, "first")
        happens()
        await run.execrows(QUERIES.insert_epoch, "second")


async def works_again(raw: Database[Executor], frozen: PostgresProxy) -> None:
    """Nothing was done, and the one connection there may be is a good one."""
    await frozen.pass_on()
    async with raw.transaction() as run:
        assert await run.value(QUERIES.get_epoch) is None
        await run.execrows(QUERIES.insert_epoch, "third")


async def test_a_statement_that_is_not_answered_takes_its_time_and_a_moment(
    raw: Database[Executor], frozen: PostgresProxy
) -> None:
    began = time.monotonic()
    with pytest.raises(PostgresUnavailable):
        await insert(raw, frozen.freeze)
    assert time.monotonic() - began < DRIVERS_SECONDS + A_MOMENT
    await works_again(raw, frozen)


async def test_a_deadline_in_the_middle_of_a_transaction_is_kept(
    raw: Database[Executor], frozen: PostgresProxy
) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(STATEMENT_SECONDS):
            await insert(raw, frozen.freeze)
    assert time.monotonic() - began < STATEMENT_SECONDS + A_MOMENT
    await works_again(raw, frozen)


async def test_work_that_is_cancelled_ends(raw: Database[Executor], frozen: PostgresProxy) -> None:
    asked = asyncio.Event()

    async def work() -> None:
        asked.set()
        await insert(raw, frozen.freeze)

    task = asyncio.create_task(repeat(work, pause=0.01))
    await asked.wait()
    await asyncio.sleep(STATEMENT_SECONDS)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=DRIVERS_SECONDS)
    assert done
    assert task.cancelled()
    await works_again(raw, frozen)


async def test_a_connection_that_is_cut_is_unavailable_and_no_error_of_the_drivers(
    raw: Database[Executor], frozen: PostgresProxy
) -> None:
    with pytest.raises(PostgresUnavailable):
        await insert(raw, frozen.cut)
    await works_again(raw, frozen)
