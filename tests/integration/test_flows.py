"""Flows: taken once, by whichever instance asks first, and unreadable in Redis."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from redis.asyncio import Redis

from cypher.config import RedisConfig
from cypher.crypto.codec import FieldCodec
from cypher.ephemeral.flows import FlowStore
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient

MINUTE = timedelta(minutes=1)


class State(msgspec.Struct, frozen=True):
    name: str
    secret: bytes


class Other(msgspec.Struct, frozen=True):
    number: int


STATE = State("canary-name", b"canary-secret")


@pytest.fixture
def epoch() -> str:
    """An epoch of this test's own, so that tests share a server without meeting."""
    return uuid4().hex[:8]


@pytest.fixture
async def clients(redis_config: RedisConfig) -> AsyncIterator[list[RedisClient]]:
    clients = [RedisClient.open(redis_config) for _ in range(2)]
    yield clients
    for client in clients:
        await client.close()


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as raw:
        yield raw


@pytest.fixture
def stores(clients: list[RedisClient], codec: FieldCodec, epoch: str) -> list[FlowStore]:
    """The same flows as two instances see them."""
    return [FlowStore(client, codec, epoch) for client in clients]


def key_of(epoch: str, kind: str, flow_id: str) -> str:
    return f"cypher:{epoch}:{kind}:{{{hashlib.sha256(flow_id.encode()).hexdigest()}}}"


async def test_flow_begun_on_one_instance_is_taken_on_another_and_only_once(stores: list[FlowStore]) -> None:
    flow_id = await stores[0].put("login", STATE, MINUTE)
    assert await stores[1].take("login", flow_id, State) == STATE
    assert await stores[0].take("login", flow_id, State) is None


async def test_of_32_takers_at_once_exactly_one_gets_the_state(stores: list[FlowStore]) -> None:
    for _ in range(10):
        flow_id = await stores[0].put("login", STATE, MINUTE)
        taken = await asyncio.gather(*(stores[n % 2].take("login", flow_id, State) for n in range(32)))
        assert [state for state in taken if state is not None] == [STATE]


async def test_peeking_leaves_the_flow(stores: list[FlowStore]) -> None:
    flow_id = await stores[0].put("registration", STATE, MINUTE)
    for store in stores:
        assert await store.peek("registration", flow_id, State) == STATE
    assert await stores[0].take("registration", flow_id, State) == STATE
    assert await stores[1].peek("registration", flow_id, State) is None


async def test_a_flow_that_was_looked_at_is_ended_everywhere(stores: list[FlowStore]) -> None:
    flow_id = await stores[0].put("mfa", STATE, MINUTE)
    assert await stores[1].peek("mfa", flow_id, State) == STATE
    await stores[1].end("mfa", flow_id)
    assert await stores[0].peek("mfa", flow_id, State) is None


async def test_flow_of_one_kind_is_nothing_as_another_and_stays(stores: list[FlowStore]) -> None:
    flow_id = await stores[0].put("login", STATE, MINUTE)
    assert await stores[0].take("registration", flow_id, State) is None
    assert await stores[0].take("login", flow_id, State) == STATE


async def test_redis_knows_neither_the_flow_id_nor_the_state(stores: list[FlowStore], raw: Redis, epoch: str) -> None:
    flow_id = await stores[0].put("login", STATE, MINUTE)
    keys = [key async for key in raw.scan_iter(f"cypher:{epoch}:*")]
    assert keys == [key_of(epoch, "login", flow_id).encode()]
    value = await raw.get(keys[0])
    assert value.startswith(b"cache-")
    assert b"canary" not in value
    assert flow_id.encode() not in keys[0] + value
    assert 0 < await raw.pttl(keys[0]) <= 60_000


async def test_flow_ids_are_drawn_anew(stores: list[FlowStore]) -> None:
    drawn = await asyncio.gather(*(stores[0].put("login", STATE, MINUTE) for _ in range(32)))
    assert len(set(drawn)) == 32
    assert {len(flow_id) for flow_id in drawn} == {43}


@pytest.mark.parametrize("flow_id", ["", "a" * 42, "a" * 44, "é" * 43, "\ud800" * 43, "a" * 42 + "\n", "}{*" * 20])
async def test_what_was_never_given_out_is_nothing(stores: list[FlowStore], flow_id: str) -> None:
    assert await stores[0].take("login", flow_id, State) is None
    assert await stores[0].peek("login", flow_id, State) is None


async def test_state_under_another_flow_or_kind_does_not_open(stores: list[FlowStore], raw: Redis, epoch: str) -> None:
    mine, other = [await stores[0].put("login", STATE, MINUTE) for _ in range(2)]
    value = await raw.get(key_of(epoch, "login", mine))
    await raw.set(key_of(epoch, "login", other), value, px=60_000)
    await raw.set(key_of(epoch, "mfa", mine), value, px=60_000)
    assert await stores[0].take("login", other, State) is None
    assert await stores[0].take("mfa", mine, State) is None
    assert await stores[0].take("login", mine, State) == STATE


async def test_state_of_another_shape_is_nothing(stores: list[FlowStore]) -> None:
    flow_id = await stores[0].put("login", STATE, MINUTE)
    assert await stores[0].peek("login", flow_id, Other) is None


async def test_without_redis_a_flow_cannot_begin(codec: FieldCodec) -> None:
    client = RedisClient.open(RedisConfig(url="unix:///nonexistent/redis.sock"))
    with pytest.raises(RedisUnavailable):
        await FlowStore(client, codec, "epoch123").put("login", STATE, MINUTE)
    await client.close()
