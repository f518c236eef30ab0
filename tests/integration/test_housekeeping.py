"""The house is kept whatever happens in it."""

import asyncio
import contextlib
import logging

from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.maintenance.housekeeping import House, repeat
from tests.factories import as_owner


@contextlib.asynccontextmanager
async def house(db, keeper):
    task = asyncio.create_task(repeat(House(keeper, db).keep, pause=0.01))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def seen_keys(db) -> list[str]:
    async with db.connection() as repos:
        return await repos.deployment.list_data_keys()


async def test_a_fault_is_logged_and_the_sweep_is_made_up_for(db, keeper, postgres_config, caplog) -> None:
    with caplog.at_level(logging.ERROR, logger="cypher.maintenance"):
        as_owner(postgres_config, "ALTER FUNCTION make_audit_partitions() RENAME TO mislaid")
        as_owner(postgres_config, f"DROP TABLE {_partitions(postgres_config)[-1]}")
        async with house(db, keeper), asyncio.timeout(5):
            while not caplog.records:
                await asyncio.sleep(0.01)
            as_owner(postgres_config, "ALTER FUNCTION mislaid() RENAME TO make_audit_partitions")
            while len(_partitions(postgres_config)) < 4:
                await asyncio.sleep(0.01)
    assert "QueryFailed" in caplog.text


async def test_a_key_made_elsewhere_is_noted_in_the_database(db, ring, keeper) -> None:
    async with house(db, keeper), asyncio.timeout(5):
        while not await seen_keys(db):
            await asyncio.sleep(0.01)
        key = await asyncio.to_thread(rotate, ring, Purpose.DATA)
        while key.id not in await seen_keys(db):
            await asyncio.sleep(0.01)


def _partitions(config) -> list[str]:
    rows = as_owner(config, "SELECT relname FROM pg_class WHERE relname ~ '^audit_logs_long_[0-9]{4}_[0-9]{2}$'")
    return sorted(str(name) for (name,) in rows)
