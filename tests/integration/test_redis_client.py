"""The Redis client against servers that freeze, die, come back and refuse. Each test has a server of its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cypher.config import RedisConfig
from cypher.errors import RedisUnavailable
from cypher.redis_client import CONNECTIONS, FAILURES, REST_SECONDS, RedisClient
from tests.conftest import patient
from tests.own_redis import HandClock, OwnServer, opened

#: Seconds; far less than any time-out, far more than a call that does not wait needs on a busy machine.
AT_ONCE = 0.15


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def client(server: OwnServer, clock: HandClock) -> AsyncIterator[RedisClient]:
    async with opened(server.url, clock=clock) as client:
        yield client


async def fail(client: RedisClient) -> float:
    """Expect a failure and return the seconds it took."""
    began = time.monotonic()
    with pytest.raises(RedisUnavailable):
        await client.delete("nothing")
    return time.monotonic() - began


async def break_open(client: RedisClient) -> None:
    for _ in range(FAILURES):
        await fail(client)


async def test_commands(client: RedisClient) -> None:
    assert await client.ping()
    assert await client.get("key") is None
    assert await client.set("key", b"\x00\xff", px=60_000)
    assert not await client.set("key", b"other", px=60_000, nx=True)
    assert await client.get("key") == b"\x00\xff"
    assert await client.getdel("key") == b"\x00\xff"
    assert await client.getdel("key") is None
    assert await client.set("key", b"again", px=60_000, nx=True)
    assert await client.delete("key")
    assert not await client.delete("key")


async def test_one_value_under_many_keys(client: RedisClient) -> None:
    await client.set_each([], b"x", px=60_000)
    await client.set_each([f"k{n}" for n in range(500)], b"x", px=60_000)
    assert [await client.get(f"k{n}") for n in (0, 250, 499)] == [b"x"] * 3


async def test_every_value_has_an_end(client: RedisClient, server: OwnServer) -> None:
    await client.set("a", b"1", px=60_000)
    await client.set_each(["b"], b"1", px=60_000)
    async with Redis.from_url(server.url) as raw:
        assert [0 < await raw.pttl(key) <= 60_000 for key in ("a", "b")] == [True, True]


async def test_opening_connects_to_nothing(folder: Path) -> None:
    async with opened(f"unix://{folder}/nobody") as client:
        assert not await client.ping()
        with pytest.raises(RedisUnavailable):
            await client.get("key")


async def test_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="embedded"):
        RedisClient.open(RedisConfig())


async def test_more_callers_than_connections_all_get_their_answer(server: OwnServer) -> None:
    # It is about who waits for whom, not about how long: a busy machine must not decide it.
    count = CONNECTIONS + 16
    client = RedisClient.open(patient(RedisConfig(url=server.url)))
    await asyncio.gather(*(client.set(f"k{n}", b"%d" % n, px=60_000) for n in range(count)))
    answers = await asyncio.gather(*(client.get(f"k{n}") for n in range(count)))
    await client.close()
    assert answers == [b"%d" % n for n in range(count)]


async def test_frozen_server_holds_nobody_for_long(client: RedisClient, server: OwnServer) -> None:
    await client.set("key", b"value", px=60_000)
    server.freeze()
    assert await fail(client) < 1  # on a connection that stood
    assert await fail(client) < 1  # on a new one: a frozen server's kernel still accepts
    server.thaw()
    assert await client.get("key") == b"value"


async def test_crowd_before_a_frozen_server_is_held_no_longer(client: RedisClient, server: OwnServer) -> None:
    server.freeze()
    assert max(await asyncio.gather(*(fail(client) for _ in range(CONNECTIONS * 3)))) < 1.5


async def test_breaker_fails_at_once_then_lets_one_probe_through(
    client: RedisClient, server: OwnServer, clock: HandClock
) -> None:
    server.freeze()
    await break_open(client)
    assert await fail(client) < AT_ONCE
    assert not await client.ping()

    clock.seconds += REST_SECONDS
    took = sorted(await asyncio.gather(*(fail(client) for _ in range(8))))
    assert took[-2] < AT_ONCE < took[-1]
    server.thaw()
    assert await fail(client) < AT_ONCE  # the probe failed: another rest begins

    clock.seconds += REST_SECONDS
    assert await client.ping()
    assert await client.get("key") is None


async def test_failures_that_do_not_follow_each_other_do_not_open_the_breaker(
    client: RedisClient, server: OwnServer
) -> None:
    for _ in range(2):
        server.freeze()
        await asyncio.gather(*(fail(client) for _ in range(FAILURES - 1)))
        server.thaw()
        assert await client.ping()


async def test_one_lost_connection_is_one_failure_however_many_shared_it(
    client: RedisClient, server: OwnServer
) -> None:
    assert await client.ping()
    server.freeze()
    answers = await asyncio.gather(*(client.getdel(str(n)) for n in range(2 * FAILURES)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {RedisUnavailable}
    server.thaw()
    assert await client.ping()


async def test_cancelled_probe_does_not_shut_the_breaker_for_good(
    client: RedisClient, server: OwnServer, clock: HandClock
) -> None:
    server.freeze()
    await break_open(client)
    clock.seconds += REST_SECONDS
    probe = asyncio.create_task(client.get("key"))
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.wait([probe])
    assert probe.cancelled()
    server.thaw()
    clock.seconds += REST_SECONDS
    assert await client.ping()


async def test_answer_to_a_cancelled_call_reaches_nobody_else(client: RedisClient, server: OwnServer) -> None:
    await client.set("mine", b"mine", px=60_000)
    await client.set("other", b"other", px=60_000)
    server.freeze()
    call = asyncio.create_task(client.get("mine"))
    await asyncio.sleep(0.05)  # until it waits for its answer
    call.cancel()
    await asyncio.wait([call])
    server.thaw()
    assert await asyncio.gather(*(client.get("other") for _ in range(8))) == [b"other"] * 8


async def test_a_loop_that_was_held_up_does_not_take_the_server_for_frozen(client: RedisClient) -> None:
    await client.ping()
    call = asyncio.create_task(client.getdel("key"))
    await asyncio.sleep(0)  # it is sent
    time.sleep(0.3)  # noqa: ASYNC251 - longer than an answer may take, while the answer waits in the socket
    assert await call is None


async def test_calls_that_come_together_share_a_connection(client: RedisClient, server: OwnServer) -> None:
    await asyncio.gather(*(client.set(f"k{n}", b"%d" % n, px=60_000) for n in range(50)))
    answers = await asyncio.gather(*(client.getdel(f"k{n}") for n in range(50)))
    assert answers == [b"%d" % n for n in range(50)]
    async with Redis.from_url(server.url) as raw:
        assert (await raw.info("stats"))["total_connections_received"] <= 3  # of this test, one that waited, and ours


async def test_restarted_server_is_found_again_by_the_next_call(client: RedisClient, server: OwnServer) -> None:
    await asyncio.gather(*(client.ping() for _ in range(8)))
    await server.restart()
    assert await client.set("key", b"value", px=60_000)


async def test_script_is_sent_again_after_the_server_forgot_it(client: RedisClient, server: OwnServer) -> None:
    run = client.script("return {KEYS[1], ARGV[1]}")
    assert await run(["key"], [b"\xff"]) == [b"key", b"\xff"]
    await server.restart()
    assert await run(["key"], [7]) == [b"key", b"7"]


async def test_scripts_called_together_are_each_run_and_answered(client: RedisClient, server: OwnServer) -> None:
    count, refuse = client.script("return redis.call('INCR', KEYS[1])"), client.script("return redis.error_reply('no')")
    calls = [*(count(["key"], []) for _ in range(5)), refuse([], []), count(["key"], [])]
    *counted, refused, last = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted([*counted, last]) == [1, 2, 3, 4, 5, 6]
    assert isinstance(refused, RedisUnavailable)
    async with Redis.from_url(server.url) as raw:
        # Each was sent twice, since the server did not know the scripts, but for the one that another had loaded.
        assert (await raw.info("commandstats"))["cmdstat_evalsha"]["calls"] <= 2 * len(calls)


async def test_answers_to_scripts_that_were_given_up_reach_nobody_else(client: RedisClient, server: OwnServer) -> None:
    run = client.script("return ARGV[1]")
    assert await run([], ["loaded"]) == b"loaded"
    server.freeze()
    results = await asyncio.gather(*(run([], [f"{n}"]) for n in range(FAILURES - 1)), return_exceptions=True)
    assert {type(result) for result in results} == {RedisUnavailable}
    server.thaw()
    assert await asyncio.gather(*(run([], [f"later-{n}"]) for n in range(8))) == [b"later-%d" % n for n in range(8)]
    assert await client.get("nothing") is None


async def test_refusals_do_not_open_the_breaker(client: RedisClient) -> None:
    run = client.script("return redis.error_reply('no')")
    for _ in range(FAILURES + 1):
        with pytest.raises(RedisUnavailable):
            await run([], [])
    assert await client.ping()


async def test_password_is_sent_and_a_wrong_one_is_unavailable(folder: Path) -> None:
    server = OwnServer(folder, "--requirepass", "letmein")
    try:
        await server.wait()
        async with opened(server.url, "letmein") as client:
            assert await client.ping()
        async with opened(server.url, "wrong") as client:
            assert not await client.ping()
            with pytest.raises(RedisUnavailable) as refused:
                await client.get("key")
        assert "wrong" not in f"{refused.value!r} {refused.value.__cause__!r}"
    finally:
        server.kill()
