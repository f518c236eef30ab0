"""What is looked for in the clear is found where it stands."""

import pytest
from redis import Redis

from tests.faults.books import Books, Invariant
from tests.faults.in_the_clear import look_for_secrets
from tests.faults.world import OwnServers, world

pytestmark = pytest.mark.slow

SEED = "JBSWY3DPEHPK3PXP"
PLANTED = f"CREATE TABLE {{}} AS SELECT {{}} AS value FROM (SELECT '{SEED}') AS planted (seed)"


async def test_a_secret_is_found_in_a_log_in_a_row_and_in_redis(own_servers: OwnServers) -> None:
    async with world(own_servers, instances=1) as around:
        books = Books(seeds=[SEED])
        look_for_secrets(around, books)
        assert books.broken == []
        with around.services[0].log.open("a") as log:
            log.write(f"the secret is {SEED}\n")
        with around.superuser() as connection:
            connection.execute(PLANTED.format("planted", "seed").encode())
            connection.execute(PLANTED.format("planted_bytes", "seed::bytea").encode())
        with Redis.from_url(around.redis.url) as redis:
            redis.set("planted", SEED)
        look_for_secrets(around, books)
        places = ("the log", "Redis", "the table planted", "the table planted_bytes")
        assert {invariant for invariant, _ in books.broken} == {Invariant.SECRET}
        found = sorted(what.removeprefix("before: ") for _, what in books.broken)
        assert found == sorted(f"{place} holds a secret of a second factor" for place in places)
