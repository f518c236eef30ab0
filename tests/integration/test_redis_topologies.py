"""The same client over a cluster and over Sentinels: every command, and a primary that dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from cypher.clock import SystemClock
from cypher.config import load
from cypher.crypto.codec import FieldCodec
from cypher.ephemeral.session_cache import SessionCache, Tombstone
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient
from tests.conftest import patient
from tests.redis_nodes import Servers, role
from tests.redis_sentinels import sentinels
from tests.redis_topologies import cluster

pytestmark = pytest.mark.slow

LIFETIME = timedelta(minutes=6)
KEYS = [f"cypher:epoch:session:{{{number}}}" for number in range(200)]


@pytest.fixture(params=[cluster, sentinels], ids=["cluster", "sentinels"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    start: Callable[[Path], AbstractContextManager[Servers]] = request.param
    with start(tmp_path) as running:
        yield running


@pytest.fixture
async def client(servers: Servers) -> AsyncIterator[RedisClient]:
    client = RedisClient.open(patient(load({"REDIS_URL": servers.url}, None).redis))
    yield client
    await client.close()


async def eventually(client: RedisClient, key: str, value: bytes) -> None:
    """Store a value as soon as there is a primary again."""
    async with asyncio.timeout(30):
        while True:
            try:
                assert await client.set(key, value, px=60_000)
            except RedisUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_every_command_reaches_the_server_that_holds_the_key(client: RedisClient) -> None:
    assert await client.ping()
    await client.set_each(KEYS, b"x", px=60_000)
    assert await asyncio.gather(*map(client.get, KEYS)) == [b"x"] * len(KEYS)
    assert sorted([name async for name in client.scan("cypher:epoch:*")]) == sorted(KEYS)
    assert await client.getdel(KEYS[0]) == b"x"
    assert not await client.set(KEYS[1], b"y", px=60_000, nx=True)
    assert await client.delete(KEYS[1])
    both = ["cypher:epoch:limit:{a}", "cypher:epoch:limit-refused:{a}"]
    run = client.script("redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], 1) return #KEYS")
    assert await run(both, ["member"]) == 2
    assert await client.content(both[0]) == b"member"


async def test_every_server_that_holds_names_says_what_it_is(servers: Servers, client: RedisClient) -> None:
    found = await client.describe_servers()
    assert len(found) == sum(role(node) == "master" for node in servers.nodes)
    assert {each["maxmemory_policy"] for each in found} == {"noeviction"}
    assert await client.get_setting("appendonly") == ["no"] * len(found)


async def test_many_may_call_at_once_before_anything_is_known(servers: Servers) -> None:
    for turn in range(3):
        client = RedisClient.open(patient(load({"REDIS_URL": servers.url}, None).redis))
        run = client.script(f"return redis.call('INCR', KEYS[1]) + {turn}")
        answers = await asyncio.gather(*(run([key], []) for key in KEYS[:50]))
        assert answers == [2 * turn + 1] * 50
        await client.close()


async def test_after_a_failover_the_new_primary_is_found(servers: Servers, client: RedisClient) -> None:
    run = client.script("return redis.call('SET', KEYS[1], ARGV[1])")
    await client.set_each(KEYS, b"before", px=60_000)
    await asyncio.to_thread(servers.primary().kill)
    for key in KEYS[:50]:
        await eventually(client, key, b"after")
    assert await asyncio.gather(*map(client.get, KEYS[:50])) == [b"after"] * 50
    for key in KEYS[:50]:
        assert await run([key], ["by script"]) in (b"OK", True)


async def test_the_end_of_a_session_is_confirmed_when_a_replica_has_it(
    servers: Servers, client: RedisClient, codec: FieldCodec
) -> None:
    cache, ended = SessionCache(client, codec, "epoch", SystemClock()), [uuid4() for _ in range(20)]
    await cache.bury(ended, LIFETIME)
    replicas = [node for node in servers.nodes if role(node) == "slave"]
    for node in replicas:
        node.process.send_signal(signal.SIGSTOP)
    try:
        # At once, so that what is written and what waits for it meet on different connections.
        ends = [cache.bury(ended, LIFETIME), cache.mark(uuid4()), cache.bury([uuid4()], LIFETIME), cache.mark(uuid4())]
        answers = await asyncio.gather(*ends, return_exceptions=True)
        assert [type(answer) for answer in answers] == [RedisUnavailable] * 4
        assert set([await cache.get(each) for each in ended]) == {Tombstone.REVOKED}
    finally:
        for node in replicas:
            node.process.send_signal(signal.SIGCONT)
    await cache.bury(ended, LIFETIME)
    await cache.mark(uuid4())
