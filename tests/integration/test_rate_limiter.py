"""The limiter on a real Redis: exact under races and over instances, blind about who is counted, never unlimited."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from cypher.clock import SystemClock, new_bytes
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.keyring import KeyRing
from cypher.ephemeral.decisions import Decision, Hit
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.ephemeral.redis_windows import REST_SECONDS, TOGETHER
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient
from tests.own_redis import HandClock, OwnServer, opened

ADDRESS = "192.0.2.17"
WINDOW = 60
HALF_A_MINUTE = 30_000_000
#: Digits of a time before the name of a hit.
STAMP = 16


@pytest.fixture
def instance(redis: RedisClient, ring: KeyRing) -> Callable[[], RateLimiter]:
    """Make one more instance on the same Redis."""
    return lambda: RateLimiter(redis, BlindIndex(ring), ring.epoch, SystemClock())


@pytest.fixture
def limiter(instance: Callable[[], RateLimiter]) -> RateLimiter:
    return instance()


async def hit(limiter: RateLimiter, limit: int = 3, identifier: str = ADDRESS, **other: object) -> Decision:
    settings: dict[str, object] = {"window_seconds": WINDOW, "category": "test"} | other
    return await limiter.check_rate_limit(identifier=identifier, limit=limit, **settings)  # type: ignore[arg-type]


async def look(limiter: RateLimiter, limit: int = 3) -> Decision:
    return await limiter.peek(identifier=ADDRESS, limit=limit, window_seconds=WINDOW, category="test")


def hit_of(decision: Decision) -> Hit:
    assert decision.hit
    return decision.hit


async def names(redis: RedisClient, ring: KeyRing) -> list[str]:
    return [name async for name in redis.scan(f"cypher:{ring.epoch}:*")]


async def recorded(redis: RedisClient, key: str) -> dict[bytes, int]:
    """Return every recorded hit's time in microseconds, in the order they stand."""
    return {hit[STAMP:]: int(hit[:STAMP]) for hit in await redis._redis.lrange(key, 0, -1)}


async def age(redis: RedisClient, key: str, microseconds: int) -> None:
    """Move every hit into the past: Redis's own clock decides, and a test does not turn it."""
    for place, (member, time) in enumerate((await recorded(redis, key)).items()):
        await redis._redis.lset(key, place, b"%016d" % (time - microseconds) + member)


# -- exact --------------------------------------------------------------------------------------------------


async def test_racing_hits_admit_exactly_the_limit_whichever_instance_they_meet(instance):
    instances = [instance(), instance()]
    decisions = await asyncio.gather(*(hit(instances[number % 2], limit=10) for number in range(200)))
    assert sum(decision.allowed for decision in decisions) == 10
    assert sorted(decision.remaining for decision in decisions if decision.allowed) == list(range(10))
    assert sum(decision.first_refusal for decision in decisions) == 1


async def test_no_window_of_a_recorded_run_holds_more_than_the_limit(redis, instance):
    """Knock without pause for several windows; every hit's time is the one that Redis wrote down for it."""
    limit, window = 5, 1
    written: dict[bytes, int] = {}
    admitted: set[bytes] = set()
    key = ""

    async def knock(limiter: RateLimiter) -> None:
        nonlocal key
        for _ in range(400):
            decision = await hit(limiter, limit=limit, window_seconds=window)
            if decision.hit:
                key = decision.hit.key
                admitted.add(decision.hit.member)
                written.update(await recorded(redis, key))
            await asyncio.sleep(0.01)

    await asyncio.gather(*(knock(instance()) for _ in range(4)))
    # Complete but for what left the window before this test came to read it, on a machine that is busy.
    assert set(written) <= admitted
    times = sorted(written.values())
    assert len(times) > 2 * limit
    assert all(later - earlier >= window * 1_000_000 for earlier, later in zip(times, times[limit:], strict=False))


async def test_the_budget_comes_back_hit_by_hit_as_each_leaves_the_window(redis, limiter):
    first = hit_of(await hit(limiter, limit=2))
    await age(redis, first.key, HALF_A_MINUTE)
    second = await hit(limiter, limit=2)
    assert second.remaining == 0
    refused = await hit(limiter, limit=2)
    assert not refused.allowed
    assert refused.hit is None
    for wait in (second.retry_after, second.reset, refused.retry_after, refused.reset):
        assert timedelta(seconds=20) < wait <= timedelta(seconds=30)
    await age(redis, first.key, HALF_A_MINUTE)
    assert [(await hit(limiter, limit=2)).allowed for _ in range(2)] == [True, False]


async def test_a_refused_hit_is_not_recorded_and_prolongs_nobodys_wait(redis, limiter):
    key = hit_of(await hit(limiter, limit=1)).key
    await age(redis, key, HALF_A_MINUTE)
    for _ in range(20):
        assert not (await hit(limiter, limit=1)).allowed
    assert len(await recorded(redis, key)) == 1
    await age(redis, key, HALF_A_MINUTE)
    assert (await hit(limiter, limit=1)).allowed


async def test_a_limit_that_was_lowered_waits_until_enough_have_left(redis, limiter):
    key = hit_of(await hit(limiter)).key
    await age(redis, key, HALF_A_MINUTE)
    await hit(limiter)
    await hit(limiter)
    refused = await hit(limiter, limit=1)
    assert not refused.allowed
    assert refused.remaining == 0
    assert timedelta(seconds=50) < refused.retry_after <= timedelta(seconds=60)
    assert timedelta(seconds=20) < refused.reset <= timedelta(seconds=30)


async def test_subjects_and_categories_are_counted_apart(limiter):
    assert [(await hit(limiter, limit=1)).allowed for _ in range(2)] == [True, False]
    assert (await hit(limiter, limit=1, identifier="192.0.2.18")).allowed
    assert (await hit(limiter, limit=1, category="test-other")).allowed


async def test_what_is_counted_is_gone_after_a_window(redis, limiter):
    decision = await hit(limiter, limit=1)
    await hit(limiter, limit=1)
    key = hit_of(decision).key
    for name in (key, key.replace("limit-test:", "limit-test-refused:")):
        assert 0 < await redis._redis.pttl(name) <= WINDOW * 1000


@pytest.mark.parametrize(("limit", "window"), [(0, 60), (-1, 60), (1, 0)])
async def test_a_limit_that_admits_nothing_is_a_mistake_of_the_caller(limiter, limit, window):
    with pytest.raises(ValueError, match="one hit at least"):
        await hit(limiter, limit=limit, window_seconds=window)


# -- together -----------------------------------------------------------------------------------------------


async def test_hits_that_come_together_are_told_what_each_would_be_told_alone(redis, limiter):
    """Room for two of five: the first two, in the order they came."""
    key = hit_of(await hit(limiter, limit=3)).key
    await age(redis, key, HALF_A_MINUTE)
    decisions = await asyncio.gather(*(hit(limiter, limit=3) for _ in range(5)))
    assert [(d.allowed, d.remaining, d.first_refusal) for d in decisions] == [
        (True, 1, False),
        (True, 0, False),
        (False, 0, True),
        (False, 0, False),
        (False, 0, False),
    ]
    assert list(await recorded(redis, key))[1:] == [hit_of(decision).member for decision in decisions[:2]]
    assert decisions[0].retry_after == timedelta(0)
    oldest_leaves = {decision.retry_after for decision in decisions[1:]} | {decision.reset for decision in decisions}
    assert len(oldest_leaves) == 1
    assert timedelta(seconds=20) < oldest_leaves.pop() <= timedelta(seconds=30)
    assert [decision.hit for decision in decisions[2:]] == [None] * 3


async def test_hits_that_come_together_take_few_calls_and_mix_up_no_subjects_nor_limits(redis, limiter):
    await hit(limiter)  # the script is loaded
    await redis._redis.config_resetstat()
    subjects = [str(number) for number in range(TOGETHER // 4)]
    asked = [(subject, limit) for subject in subjects for limit in (1, 1, 2, 2)]
    decisions = await asyncio.gather(
        *(hit(limiter, limit=limit, identifier=subject, category=f"test-{limit}") for subject, limit in asked)
    )
    assert [d.allowed for d in decisions] == [True, False, True, True] * len(subjects)
    assert [d.remaining for d in decisions] == [0, 0, 1, 0] * len(subjects)
    assert (await redis._redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 2  # one for each limit


async def test_one_subject_under_two_limits_at_once_is_counted_once(redis, limiter):
    decisions = await asyncio.gather(*(hit(limiter, limit=limit) for limit in (2, 4, 2, 4, 2)))
    assert sum(decision.allowed for decision in decisions) == 4
    assert len(await recorded(redis, hit_of(decisions[0]).key)) == 4


async def test_who_is_cancelled_among_hits_that_come_together_takes_nothing_from_the_others(limiter):
    leaving, *staying = (asyncio.create_task(hit(limiter, limit=3)) for _ in range(4))
    await asyncio.sleep(0)
    leaving.cancel()
    decisions = await asyncio.gather(*staying)
    assert [decision.allowed for decision in decisions] == [True, True, False]  # the one that left was counted


@pytest.mark.parametrize("gone", [1, 2, 3, 7, 31, 32, 99, 100])
async def test_as_many_as_have_left_are_removed_and_no_other(redis, limiter, gone):
    """The script looks for the first one that counts by steps: every step must find it."""
    decisions = [await hit(limiter, limit=100) for _ in range(100)]
    key, members = hit_of(decisions[0]).key, [hit_of(decision).member for decision in decisions]
    for place, (member, time) in enumerate((await recorded(redis, key)).items()):
        if place < gone:
            await redis._redis.lset(key, place, b"%016d" % (time - WINDOW * 1_000_000) + member)
    new = await hit(limiter, limit=100)
    assert new.remaining == gone - 1
    assert list(await recorded(redis, key)) == [*members[gone:], hit_of(new).member]


async def test_a_clock_that_was_set_back_admits_nobody_too_early(redis, limiter):
    """Hits of the faster clock stand before those of the slower one: what came later has been there for less long."""
    early, late = [hit_of(await hit(limiter)) for _ in range(2)]
    [(_, first), (_, second)] = (await recorded(redis, early.key)).items()
    await redis._redis.lset(early.key, 0, b"%016d" % (first + HALF_A_MINUTE) + early.member)
    await redis._redis.lset(early.key, 1, b"%016d" % (second - HALF_A_MINUTE) + late.member)
    assert [(await hit(limiter)).allowed for _ in range(2)] == [True, False]


# -- taking back, looking, resetting ------------------------------------------------------------------------


async def test_a_hit_is_taken_back_once_and_no_other_with_it(redis, limiter, instance):
    mine, other = hit_of(await hit(limiter)), hit_of(await hit(limiter))
    for _ in range(3):
        await instance().take_back([mine])
    assert list(await recorded(redis, mine.key)) == [other.member]
    await limiter.take_back([Hit(key=mine.key, member=new_bytes(12))])
    assert (await look(limiter)).remaining == 2


async def test_many_are_taken_back_by_one_call_wherever_they_stand(redis, limiter):
    hits = [hit_of(decision) for decision in await asyncio.gather(*(hit(limiter, limit=100) for _ in range(60)))]
    other = hit_of(await hit(limiter, category="test-other"))
    await limiter.take_back([hits[0], other])
    await redis._redis.config_resetstat()
    await limiter.take_back([hits[30], hits[59], other])
    assert (await redis._redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1
    left = [each.member for number, each in enumerate(hits) if number not in (0, 30, 59)]
    assert list(await recorded(redis, hits[0].key)) == left
    assert await recorded(redis, other.key) == {}


async def test_racing_hits_and_takings_back_never_admit_more_than_the_limit(limiter, instance):
    """As many are inside as the limit, at no moment more: the count is that of whoever has not been taken back."""
    inside = most = 0

    async def attempt(each: RateLimiter) -> None:
        nonlocal inside, most
        for _ in range(20):
            decision = await hit(each, limit=4)
            if decision.hit:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1
                await each.take_back([decision.hit])

    await asyncio.gather(*(attempt(instance()) for _ in range(10)))
    assert most <= 4
    assert (await look(limiter)).remaining == 3


async def test_looking_counts_nothing(limiter):
    assert await look(limiter) == Decision(allowed=True, remaining=3, retry_after_us=0, reset_us=0, hit=None)
    for _ in range(3):
        await hit(limiter)
    for _ in range(2):
        seen = await look(limiter)
        assert (seen.allowed, seen.remaining) == (False, 0)
        assert timedelta(seconds=50) < seen.retry_after <= timedelta(seconds=60)
        assert timedelta(seconds=50) < seen.reset <= timedelta(seconds=60)
    assert (await look(limiter, limit=4)).allowed


async def test_a_reset_forgets_one_subject_and_its_refusal(redis, ring, limiter):
    await hit(limiter, limit=1)
    await hit(limiter, limit=1)
    await hit(limiter, limit=1, identifier="192.0.2.18")
    assert await limiter.reset(identifier=ADDRESS, category="test")
    assert not await limiter.reset(identifier=ADDRESS, category="test")
    assert len(await names(redis, ring)) == 1
    again = [await hit(limiter, limit=1) for _ in range(2)]
    assert [(decision.allowed, decision.first_refusal) for decision in again] == [(True, False), (False, True)]
    assert not (await hit(limiter, limit=1, identifier="192.0.2.18")).allowed


async def test_the_first_refusal_of_a_window_is_told_once_over_all_instances(redis, limiter, instance):
    key = hit_of(await hit(limiter, limit=1)).key
    told = await asyncio.gather(*(hit(instance(), limit=1) for _ in range(20)))
    assert sum(decision.first_refusal for decision in told) == 1
    await redis.delete(key.replace("limit-test:", "limit-test-refused:"))  # as its window ends
    assert [(await hit(limiter, limit=1)).first_refusal for _ in range(2)] == [True, False]


async def test_subjects_are_counted_by_category(limiter):
    for number in range(1200):
        await hit(limiter, limit=1, identifier=str(number), category=f"test-{number % 2}")
    await hit(limiter, limit=1, identifier="0", category="test-0")
    assert await limiter.count_subjects() == ({"test-0": 600, "test-1": 600}, {"test-0": 1})


# -- blind --------------------------------------------------------------------------------------------------


async def test_redis_learns_a_keyed_index_on_one_slot_and_nothing_else(redis, ring, limiter):
    await hit(limiter, limit=1)
    await hit(limiter, limit=1)
    index = BlindIndex(ring).index(ADDRESS, "redis.limit-test").hex()
    assert re.fullmatch(r"[0-9a-f]{32}", index)
    assert sorted(await names(redis, ring)) == [
        f"cypher:{ring.epoch}:limit-test-refused:{{{index}}}",
        f"cypher:{ring.epoch}:limit-test:{{{index}}}",
    ]


async def test_one_identifier_has_another_name_in_each_category(redis, ring, limiter):
    await hit(limiter)
    await hit(limiter, category="test-other")
    ids = {name.rpartition(":")[2] for name in await names(redis, ring)}
    assert len(ids) == 2


# -- without Redis ------------------------------------------------------------------------------------------


class Counting(RedisClient):
    """Tells how often it was asked."""

    asked = 0

    async def _guarded(self, call):
        self.asked += 1
        return await super()._guarded(call)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def lonely(server: OwnServer, ring: KeyRing, clock: HandClock) -> AsyncIterator[RateLimiter]:
    """A limiter whose Redis a test may freeze and kill."""
    async with opened(server.url, clock=clock) as client:
        client.__class__ = Counting
        yield RateLimiter(client, BlindIndex(ring), ring.epoch, clock)


async def test_without_redis_the_full_limit_holds_in_the_process(lonely, server):
    await hit(lonely, limit=10)
    server.kill()
    decisions = await asyncio.gather(*(hit(lonely, limit=10) for _ in range(200)))
    assert sum(decision.allowed for decision in decisions) == 10
    assert sum(decision.first_refusal for decision in decisions) == 1
    refused = next(decision for decision in decisions if not decision.allowed)
    assert timedelta(seconds=50) < refused.retry_after <= timedelta(seconds=60)


async def test_when_redis_is_back_it_counts_again(lonely, server, clock):
    server.kill()
    assert [(await hit(lonely, limit=1)).allowed for _ in range(2)] == [True, False]
    await server.restart()
    assert not (await hit(lonely, limit=1)).allowed  # not asked yet
    clock.seconds += REST_SECONDS
    assert [(await hit(lonely, limit=1)).allowed for _ in range(2)] == [True, False]
    assert (await look(lonely, limit=1)).remaining == 0


async def test_a_frozen_redis_is_waited_for_once_and_not_by_every_check_of_a_request(lonely, server, clock):
    await hit(lonely)
    client = lonely._redis
    client.asked = 0
    server.freeze()
    try:
        first = await hit(lonely)
        await hit(lonely, category="test-other")
        await lonely.take_back([hit_of(first)])
        assert client.asked == 1
        clock.seconds += REST_SECONDS
        await hit(lonely)
        assert client.asked == 2
    finally:
        server.thaw()


async def test_a_hit_counted_in_the_process_is_taken_back_there(lonely, server):
    server.kill()
    mine = hit_of(await hit(lonely, limit=1))
    await lonely.take_back([mine])
    assert (await hit(lonely, limit=1)).allowed


async def test_a_hit_that_redis_wrote_down_without_an_answer_is_taken_back_there_as_well(lonely, server, clock):
    await hit(lonely)
    server.freeze()
    unanswered = hit_of(await hit(lonely))
    server.thaw()
    clock.seconds += REST_SECONDS
    # What was sent to the frozen server is in its socket: it runs before whatever is asked now.
    assert (await look(lonely)).remaining == 1
    await lonely.take_back([unanswered])
    assert (await look(lonely)).remaining == 2


async def test_an_operator_is_told_that_redis_is_away_and_the_process_forgets_all_the_same(lonely, server):
    server.kill()
    await hit(lonely, limit=1)
    with pytest.raises(RedisUnavailable):
        await look(lonely)
    with pytest.raises(RedisUnavailable):
        await lonely.reset(identifier=ADDRESS, category="test")
    assert (await hit(lonely, limit=1)).allowed


async def test_a_redis_that_refuses_to_write_leaves_nothing_unlimited(lonely, server):
    await lonely._redis._redis.config_set("maxmemory", "1")
    decisions = [await hit(lonely, limit=2) for _ in range(4)]
    assert [decision.allowed for decision in decisions] == [True, True, False, False]
