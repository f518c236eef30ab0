"""The pool, its time-outs, and what becomes of the driver's errors."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cypher import sqlfiles
from cypher.errors import PostgresUnavailable
from cypher.postgres import Database, Executor
from cypher.postgres_errors import QueryFailed
from tests.factories import connect_as_owner, insert_person

QUERIES = sqlfiles.parse(
    """\
-- name: sleep :value
-- params: seconds
SELECT pg_sleep($1::float8);

-- name: insert_epoch :execrows
-- params: epoch
INSERT INTO deployment (epoch) VALUES ($1);

-- name: insert_epoch_again :execrows
-- params: epoch
INSERT INTO deployment (epoch) VALUES ($1) ON CONFLICT ON CONSTRAINT deployment_pk DO NOTHING;

-- name: get_epoch :value
SELECT epoch FROM deployment;

-- name: count_in :value
-- params: numbers
SELECT cardinality($1::int[]);

-- name: end_myself :value
SELECT pg_terminate_backend(pg_backend_pid());

-- name: show :value
-- params: setting
SELECT current_setting($1::text);
""",
    "test.sql",
)


@pytest.fixture
async def raw(postgres_config) -> AsyncIterator[Database[Executor]]:
    database = await Database.open(replace(postgres_config, pool_max=2), lambda run: run)
    yield database
    await database.close()


async def test_a_block_that_ends_commits_and_one_that_raises_does_not(raw):
    async def fail() -> None:
        async with raw.transaction() as run:
            await run.execrows(QUERIES.insert_epoch, "lost")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with raw.transaction() as run:
        assert await run.value(QUERIES.get_epoch) is None
        assert await run.execrows(QUERIES.insert_epoch, "kept") == 1
    async with raw.connection() as run:
        assert await run.value(QUERIES.get_epoch) == "kept"
        assert await run.execrows(QUERIES.insert_epoch_again, "late") == 0


async def test_a_transaction_whose_error_was_swallowed_does_not_pretend_to_commit(raw):
    async def swallow() -> None:
        async with raw.transaction() as run:
            await run.execrows(QUERIES.insert_epoch, "one")
            with contextlib.suppress(QueryFailed):
                await run.execrows(QUERIES.insert_epoch, "two")

    with pytest.raises(QueryFailed, match="COMMIT"):
        await swallow()
    async with raw.connection() as run:
        assert await run.value(QUERIES.get_epoch) is None


async def test_a_cancelled_transaction_rolls_back_and_gives_its_connection_back(raw):
    async def hang() -> None:
        async with raw.transaction() as run:
            await run.execrows(QUERIES.insert_epoch, "cancelled")
            await run.value(QUERIES.sleep, 1.5)

    tasks = [asyncio.create_task(hang()) for _ in range(2)]
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with raw.connection() as first, raw.connection() as second:
        assert await first.value(QUERIES.get_epoch) is None
        assert await second.value(QUERIES.get_epoch) is None


async def test_a_transaction_that_breaks_off_as_it_begins_or_commits_is_nothing_unexpected(raw):
    unexpected = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))

    async def break_off(*, at_begin: bool) -> None:
        task = asyncio.current_task()
        assert task
        if at_begin:
            task.cancel()  # takes effect where it waits next
        async with raw.transaction():
            assert not at_begin
            task.cancel()

    async with raw.connection():
        pass  # it is connected, and nothing before BEGIN is waited for
    for at_begin in (True, False) * 10:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(break_off(at_begin=at_begin))
        async with raw.connection() as first, raw.connection() as second:
            assert await first.value(QUERIES.get_epoch) is await second.value(QUERIES.get_epoch) is None
    assert unexpected == []


async def test_an_error_of_ours_tells_place_state_and_constraint_but_no_value(raw):
    async with raw.connection() as run:
        await run.execrows(QUERIES.insert_epoch, "first")
        with pytest.raises(QueryFailed) as failed:
            await run.execrows(QUERIES.insert_epoch, "canary")
        assert failed.value.constraint == "deployment_pk"
        assert str(failed.value) == "test.sql:5: SQLSTATE 23505, deployment_pk"
        with pytest.raises(QueryFailed) as failed:
            await run.value(QUERIES.count_in, ["canary"])
        assert "canary" not in str(failed.value)
        assert failed.value.__suppress_context__
        with pytest.raises(TypeError, match=r"test.sql:5: insert_epoch is :execrows, not :one"):
            await run.one(QUERIES.insert_epoch, "x")


async def test_a_statement_is_given_two_seconds(raw):
    began = time.monotonic()
    async with raw.connection() as run:
        with pytest.raises(PostgresUnavailable):
            await run.value(QUERIES.sleep, 30.0)
    assert 1.5 < time.monotonic() - began < 3


async def test_a_lock_is_waited_for_half_a_second(raw, postgres_config):
    with connect_as_owner(postgres_config) as holder, holder.transaction():
        holder.execute("LOCK TABLE deployment IN ACCESS EXCLUSIVE MODE")
        async with raw.connection() as run:
            began = time.monotonic()
            with pytest.raises(PostgresUnavailable):
                await run.value(QUERIES.get_epoch)
            assert 0.4 < time.monotonic() - began < 1.5


async def test_a_free_connection_is_waited_for_one_second(raw):
    async with raw.connection(), raw.connection():
        began = time.monotonic()
        with pytest.raises(PostgresUnavailable):
            async with raw.connection():
                pass
        assert 0.9 < time.monotonic() - began < 1.8
        assert not await raw.ping()
    assert await raw.ping()


async def test_a_lost_connection_is_replaced(raw):
    async with raw.connection() as run:
        with pytest.raises(PostgresUnavailable):
            await run.value(QUERIES.end_myself)
    assert await raw.ping()


async def test_connections_that_the_server_ended_cost_one_error_at_most(db, postgres_config, servers):
    user = await insert_person(db)

    async def read() -> bool:
        try:
            async with db.connection() as repos:
                return await repos.users.get_user(user.id) is not None
        except PostgresUnavailable:
            return False

    assert all(await asyncio.gather(*(read() for _ in range(8))))
    with servers.superuser() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = %s",
            [postgres_config.database, postgres_config.user],
        )
    await asyncio.gather(*(read() for _ in range(8)))
    assert all(await asyncio.gather(*(read() for _ in range(8))))


async def test_a_server_that_is_away_is_no_error_until_it_is_asked(postgres_config, tmp_path):
    database = await Database.open(replace(postgres_config, hosts=(str(tmp_path),)), lambda run: run)
    assert not await database.ping()
    with pytest.raises(PostgresUnavailable):
        async with database.transaction():
            pass
    await database.close()


async def test_a_database_that_is_not_there_is_an_unavailable_one(postgres_config):
    database = await Database.open(replace(postgres_config, database="nowhere"), lambda run: run)
    assert not await database.ping()
    await database.close()


async def test_the_primary_is_found_behind_a_host_that_swallows_packets(postgres_config, tmp_path):
    """A listener that never answers must leave time for the hosts after it."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / f".s.PGSQL.{postgres_config.port}"))
        silent.listen()
        hosts = (str(tmp_path), *postgres_config.hosts)
        database = await Database.open(replace(postgres_config, hosts=hosts), lambda run: run)
        began = time.monotonic()
        assert await database.ping()
        assert time.monotonic() - began < 2
        await database.close()


async def test_a_host_that_refuses_costs_no_time(postgres_config, tmp_path):
    hosts = (str(tmp_path), str(tmp_path), *postgres_config.hosts)
    database = await Database.open(replace(postgres_config, hosts=hosts), lambda run: run)
    began = time.monotonic()
    assert await database.ping()
    assert time.monotonic() - began < 0.5
    await database.close()


async def test_hosts_that_are_all_away_are_given_two_seconds_together(postgres_config, tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / f".s.PGSQL.{postgres_config.port}"))
        silent.listen()
        database = await Database.open(replace(postgres_config, hosts=(str(tmp_path),) * 2), lambda run: run)
        began = time.monotonic()
        assert not await database.ping()
        assert time.monotonic() - began < 2.5
        await database.close()


async def test_the_session_has_the_settings_that_decisions_rely_on(raw):
    async with raw.connection() as run:
        shown = {
            name: await run.value(QUERIES.show, name)
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "default_transaction_isolation",
                "TimeZone",
            )
        }
    assert list(shown.values()) == ["2s", "500ms", "5s", "read committed", "UTC"]


async def test_who_only_looks_cannot_write(postgres_config):
    database = await Database.open(postgres_config, lambda run: run, read_only=True)
    async with database.connection() as run:
        assert await run.value(QUERIES.get_epoch) is None
    with pytest.raises(PostgresUnavailable) as refused:
        async with database.connection() as run:
            await run.execrows(QUERIES.insert_epoch, "epoch")
    assert refused.value.__cause__.sqlstate == "25006"
    await database.close()


async def test_closing_does_not_wait_for_ever(postgres_config, monkeypatch):
    monkeypatch.setattr("cypher.postgres.CLOSE_SECONDS", 0.2)
    database = await Database.open(postgres_config, lambda run: run)

    async def use_a_closed_one() -> None:
        async with database.connection() as run:
            await database.close()
            await run.value(QUERIES.get_epoch)

    with pytest.raises(PostgresUnavailable):
        await use_a_closed_one()
