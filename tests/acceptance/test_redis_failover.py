"""A primary of Redis dies in the middle of traffic: a replica takes its place, and nobody's session suffers."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from cypher.config import load
from tests.acceptance.lives import Lives, recovered
from tests.acceptance.service import environment_of
from tests.redis_topologies import Servers, cluster, sentinels

pytestmark = pytest.mark.slow


@pytest.fixture(params=[cluster, sentinels], ids=["cluster", "sentinels"])
def several(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    start: Callable[[Path], AbstractContextManager[Servers]] = request.param
    with start(tmp_path) as running:
        yield running


@pytest.fixture
def environment(several: Servers, postgres_config, tmp_path: Path) -> dict[str, str]:
    redis = load({"REDIS_URL": several.url, "REDIS_COMMAND_MS": "1000", "REDIS_CONNECT_MS": "1000"}, None).redis
    return environment_of(postgres_config, redis, tmp_path / "keys")


async def test_when_a_primary_dies_people_notice_seconds_at_most(several, two_processes, http) -> None:
    lives = Lives(http, two_processes)
    lives.begin(8)
    await lives.until(logins=30)
    await asyncio.to_thread(several.primary().kill)
    # Everybody: in a cluster each name has a slot of its own, and may be one of the two thirds that go on.
    people = [replace(person) for person in lives.people]
    assert sum([await recovered(http, two_processes, person) for person in people]) < 40
    await lives.until(logins=15)
    await lives.end()
    await lives.assert_all_held()
