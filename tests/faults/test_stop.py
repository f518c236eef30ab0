"""An instance that is told to stop does, also when PostgreSQL has stopped answering."""

import time

import pytest

from tests.acceptance.person import Person
from tests.contract import watched_client
from tests.faults.world import OwnServers, world

pytestmark = pytest.mark.slow

#: What a drain may take; then whoever sent SIGTERM sends SIGKILL.
SECONDS = 30


async def test_an_instance_stops_while_postgresql_is_frozen(own_servers: OwnServers) -> None:
    async with world(own_servers, frozenset({"postgres"}), instances=1) as around, watched_client() as http:
        person = Person(http, around.urls[0], "alice")
        assert (await person.register()).status == 201
        around.to_postgres.freeze()
        began = time.monotonic()
        assert await around.services[0].stop() == 0
        assert time.monotonic() - began < SECONDS
