"""The primary goes in the middle of traffic, its standby is promoted, and people notice seconds at most."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cypher.config import PostgresConfig
from tests.acceptance.lives import Lives, count_opened, recovered
from tests.acceptance.service import environment_of, spawn
from tests.postgres_topologies import Postgres, pair, with_database

pytestmark = pytest.mark.slow

Pair = tuple[Postgres, Postgres]
OURS = PostgresConfig(user="cypher_test", database="cypher", migration_user="cypher_test_owner")


@pytest.fixture
def servers_of_postgres() -> Iterator[Pair]:
    with pair() as both:
        yield both


@pytest.fixture
def environment(servers_of_postgres: Pair, redis_config, tmp_path: Path) -> dict[str, str]:
    primary, standby = servers_of_postgres
    config = replace(OURS, hosts=(primary.host, standby.host), port=primary.port)
    settings = environment_of(with_database(config, primary), redis_config, tmp_path / "keys")
    return {**settings, "AUDIT_CHECKPOINT": str(tmp_path / "checkpoints.jsonl")}


@pytest.mark.parametrize("stop", ["immediate", "fast"])
async def test_a_standby_that_is_promoted_has_what_was_acknowledged_and_is_found(
    servers_of_postgres, environment, two_processes, http, stop, record_property
) -> None:
    primary, standby = servers_of_postgres
    lives = Lives(http, two_processes)
    lives.begin(8)
    await lives.until(logins=30)
    await asyncio.to_thread(primary.stop, stop)
    await asyncio.to_thread(standby.promote)
    seconds = await recovered(http, two_processes, replace(lives.people[0]))
    await lives.until(logins=15)
    # The old primary comes back as a standby; it is the first of the hosts and must not be taken.
    await asyncio.to_thread(primary.become_standby)
    await lives.until(logins=15)
    await lives.end()
    await lives.assert_all_held()
    assert seconds < 20
    record_property("answers", dict(lives.statuses))
    record_property("recovered after seconds", round(seconds, 1))
    assert standby.ask("SELECT pg_is_in_recovery()") is False
    await assert_the_trail_verifies(environment)
    assert await count_opened(environment) > lives.logins


async def assert_the_trail_verifies(environment: dict[str, str]) -> None:
    checkpoints = Path(environment["AUDIT_CHECKPOINT"])
    async with asyncio.timeout(30):  # they are published every ten seconds
        while not (await asyncio.to_thread(checkpoints.exists) and await asyncio.to_thread(checkpoints.read_bytes)):
            await asyncio.sleep(0.1)
    command = ("-m", "cypher", "audit", "verify", "--checkpoint", str(checkpoints))
    verifying = await spawn(environment, *command)
    out, err = await verifying.communicate()
    assert verifying.returncode == 0, (out, err)
