"""Through PgBouncer in transaction mode, which lends a connection for one transaction: limits hold, nothing is left."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.errors import OperatorError, PostgresUnavailable
from cypher.postgres import Database, Executor
from cypher.schema import pending
from tests.postgres_topologies import PgBouncer, Postgres, pgbouncer, server, with_database

pytestmark = pytest.mark.slow

OURS = PostgresConfig(user="cypher_test", database="cypher", migration_user="cypher_test_owner")
#: What an operator would allow, to make the refusal at the start go away.
IGNORED = "statement_timeout, lock_timeout, idle_in_transaction_session_timeout, default_transaction_isolation"
QUERIES = sqlfiles.parse(
    """\
-- name: show :value
-- params: setting
SELECT current_setting($1::text);

-- name: sleep :value
-- params: seconds
SELECT pg_sleep($1::float8);

-- name: backend :value
SELECT pg_backend_pid();

-- name: prepared :value
SELECT count(*) FROM pg_prepared_statements;

-- name: insert_epoch :exec
-- params: epoch
INSERT INTO deployment (epoch) VALUES ($1) ON CONFLICT ON CONSTRAINT deployment_pk DO NOTHING;
""",
    "test.sql",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with server() as running:
        yield running


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    """Two connections to PostgreSQL for each role, whoever comes."""
    with pgbouncer(postgres, default_pool_size="2") as running:
        yield running


@pytest.fixture(scope="module")
def config(postgres: Postgres, pooler: PgBouncer) -> PostgresConfig:
    """The schema, made through the pooler as well."""
    return with_database(replace(OURS, hosts=(pooler.host,), port=pooler.port, pooled=True), postgres)


@asynccontextmanager
async def opened(config: PostgresConfig) -> AsyncIterator[Database[Executor]]:
    database = await Database.open(config, lambda run: run)
    try:
        yield database
    finally:
        await database.close()


def test_the_schema_is_whole(config) -> None:
    assert pending(config) == []


async def test_each_pool_has_limits_of_its_own_on_the_same_connections(config) -> None:
    async with opened(config) as requests, opened(replace(config, statement_seconds=600.0)) as upkeep:

        async def shown(database: Database[Executor], setting: str) -> list[object]:
            async with database.connection() as run:
                alone = await run.value(QUERIES.show, setting)
            async with database.transaction() as run:
                return [alone, await run.value(QUERIES.show, setting)]

        for _ in range(3):
            assert await shown(requests, "statement_timeout") == ["2s", "2s"]
            assert await shown(upkeep, "statement_timeout") == ["10min", "10min"]
            assert await shown(requests, "lock_timeout") == ["500ms", "500ms"]
            assert await shown(requests, "idle_in_transaction_session_timeout") == ["5s", "5s"]
            assert await shown(upkeep, "TimeZone") == ["UTC", "UTC"]


async def test_a_slow_statement_ends_and_its_connection_is_of_use_again(config) -> None:
    async with opened(config) as database:
        for lend in (database.connection, database.transaction):
            began = time.monotonic()
            with pytest.raises(PostgresUnavailable):
                async with lend() as run:
                    await run.value(QUERIES.sleep, 30.0)
            assert 1.5 < time.monotonic() - began < 4
        assert await database.ping()


async def test_many_share_two_connections_and_leave_nothing_on_them(postgres, config) -> None:
    async with opened(replace(config, pool_max=20)) as database:

        async def work(number: int) -> set[object]:
            seen: set[object] = set()
            for turn in range(10):
                async with database.transaction() as run:
                    seen.add(await run.value(QUERIES.backend))
                    await run.exec(QUERIES.insert_epoch, f"{number}-{turn}")
                async with database.connection() as run:
                    seen.add(await run.value(QUERIES.backend))
            return seen

        backends = set().union(*await asyncio.gather(*(work(number) for number in range(20))))
        assert len(backends) <= 2
        async with database.connection() as run:
            assert await run.value(QUERIES.prepared) == 0
    left = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert postgres.ask(left) == 0


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": IGNORED}], ids=["refused", "dropped"])
async def test_without_its_setting_the_start_says_what_to_set(postgres, config, settings) -> None:
    with pgbouncer(postgres, **settings) as other:
        async with opened(replace(config, hosts=(other.host,), port=other.port, pooled=False)) as database:
            with pytest.raises(OperatorError, match="POSTGRES_POOLER=transaction"):
                await database.require_limits()


async def test_straight_to_postgresql_and_with_the_setting_the_start_has_nothing_to_say(postgres, config) -> None:
    straight = replace(config, hosts=(postgres.host,), port=postgres.port, pooled=False)
    for each in (straight, config):
        async with opened(each) as database:
            await database.require_limits()
