"""The session cache: what was revoked stays revoked, whatever races with it, and Redis shows nothing of a session."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from redis.asyncio import Redis

from cypher.config import RedisConfig
from cypher.crypto.codec import FieldCodec
from cypher.ephemeral.session_cache import FILL_LIMIT, MARKER_LIFETIME, TRUST, SessionCache, SessionDocument, Tombstone
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient

LIFETIME = timedelta(minutes=6)
SECOND = timedelta(seconds=1)


class HandClock:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def epoch() -> str:
    """An epoch of this test's own, so that tests share a server without meeting."""
    return uuid4().hex[:8]


@pytest.fixture
async def client(redis_config: RedisConfig) -> AsyncIterator[RedisClient]:
    client = RedisClient.open(redis_config)
    yield client
    await client.close()


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as raw:
        yield raw


@pytest.fixture
def cache(client: RedisClient, codec: FieldCodec, epoch: str, clock: HandClock) -> SessionCache:
    return SessionCache(client, codec, epoch, clock)


@pytest.fixture
def document(clock: HandClock) -> SessionDocument:
    return SessionDocument(
        id=uuid4(),
        user_id=uuid4(),
        username="canary-name",
        aal=1,
        amr=("opaque",),
        authenticated_at=clock.now(),
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(days=30),
        idle_expires_at=clock.now() + timedelta(days=7),
        device_id=None,
        ended_jtis=("a", "b"),
        filled_at=clock.now(),
    )


def key_of(epoch: str, session_id: UUID) -> str:
    return f"cypher:{epoch}:session:{{{session_id}}}"


async def test_filled_document_comes_back_whole(cache: SessionCache, document: SessionDocument) -> None:
    assert await cache.get(document.id) is None
    await cache.fill(document)
    assert await cache.get(document.id) == document
    assert await cache.get(document.id) == document  # from the memo


async def test_redis_holds_ciphertext_under_the_named_key_for_half_a_minute(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str
) -> None:
    await cache.fill(document)
    value = await raw.get(key_of(epoch, document.id))
    assert value.startswith(b"cache-")
    for canary in (b"canary", b"opaque", document.user_id.bytes, str(document.user_id).encode()):
        assert canary not in value
    assert 0 < await raw.pttl(key_of(epoch, document.id)) <= 30_000


async def test_another_instance_reads_it_and_another_epoch_does_not(
    client: RedisClient, codec: FieldCodec, epoch: str, clock: HandClock, cache: SessionCache, document: SessionDocument
) -> None:
    await cache.fill(document)
    assert await SessionCache(client, codec, epoch, clock).get(document.id) == document
    assert await SessionCache(client, codec, "elsewher", clock).get(document.id) is None


# -- revocation ---------------------------------------------------------------------------------------------


async def test_buried_session_is_a_tombstone_that_no_fill_and_no_marker_replaces(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str
) -> None:
    other = uuid4()
    await cache.fill(document)
    await cache.bury([document.id, other], LIFETIME)
    await cache.fill(document)
    await cache.mark(document.id)
    assert await cache.get(document.id) is Tombstone.REVOKED
    assert await cache.get(other) is Tombstone.REVOKED
    assert await raw.get(key_of(epoch, other)) == b"x"
    assert 330_000 < await raw.pttl(key_of(epoch, other)) <= 360_000


async def test_tombstone_survives_every_race_with_fills_and_markers(
    client: RedisClient, codec: FieldCodec, epoch: str, clock: HandClock, document: SessionDocument
) -> None:
    caches = [SessionCache(client, codec, epoch, clock) for _ in range(2)]
    for _ in range(100):
        racing = msgspec.structs.replace(document, id=uuid4())
        await asyncio.gather(
            caches[0].fill(racing),
            caches[1].fill(racing),
            caches[0].mark(racing.id),
            caches[1].bury([racing.id], LIFETIME),
            caches[1].mark(racing.id),
            caches[0].fill(racing),
        )
        assert [await cache.get(racing.id) for cache in caches] == [Tombstone.REVOKED] * 2


async def test_fills_that_race_leave_one_document(cache: SessionCache, document: SessionDocument) -> None:
    racing = [msgspec.structs.replace(document, ended_jtis=(str(n),)) for n in range(16)]
    await asyncio.gather(*(cache.fill(one) for one in racing))
    first = await cache.get(document.id)
    assert first in racing
    await cache.fill(document)
    assert await cache.get(document.id) == first


# -- the marker ---------------------------------------------------------------------------------------------


async def test_marked_session_is_read_anew_and_an_earlier_fill_stores_nothing(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str
) -> None:
    await cache.fill(document)
    await cache.mark(document.id)
    assert await cache.get(document.id) is None
    await cache.fill(document)
    assert await cache.get(document.id) is None
    assert await raw.get(key_of(epoch, document.id)) == b"e"
    assert 5_000 < await raw.pttl(key_of(epoch, document.id)) <= 35_000


async def test_marker_lives_longer_than_any_fill_under_way(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str
) -> None:
    await cache.mark(document.id, SECOND)
    assert 5_000 < await raw.pttl(key_of(epoch, document.id)) <= 35_000
    assert MARKER_LIFETIME > FILL_LIMIT


async def test_fill_that_took_too_long_is_dropped_also_after_the_marker_is_gone(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str, clock: HandClock
) -> None:
    await cache.mark(document.id)
    await raw.delete(key_of(epoch, document.id))  # its end
    clock.time += FILL_LIMIT + SECOND
    await cache.fill(document)
    assert await cache.get(document.id) is None
    fresh = msgspec.structs.replace(document, filled_at=clock.now(), ended_jtis=("a", "b", "c"))
    await cache.fill(fresh)
    assert await cache.get(document.id) == fresh


# -- trust --------------------------------------------------------------------------------------------------


async def test_document_is_trusted_for_thirty_seconds_whatever_redis_keeps(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str, clock: HandClock
) -> None:
    await cache.fill(document)
    await raw.persist(key_of(epoch, document.id))
    clock.time += TRUST
    assert await cache.get(document.id) == document
    clock.time += timedelta(milliseconds=1)
    assert await cache.get(document.id) is None


async def test_document_from_a_clock_far_ahead_is_not_trusted(
    cache: SessionCache, document: SessionDocument, clock: HandClock
) -> None:
    await cache.fill(document)
    clock.time -= TRUST + SECOND
    assert await cache.get(document.id) is None


async def test_trust_is_never_more_than_thirty_seconds(
    client: RedisClient, codec: FieldCodec, epoch: str, clock: HandClock, document: SessionDocument
) -> None:
    generous = SessionCache(client, codec, epoch, clock, timedelta(hours=1))
    await generous.fill(document)
    clock.time += TRUST + SECOND
    assert await generous.get(document.id) is None


@pytest.mark.parametrize("limit", ["expires_at", "idle_expires_at"])
async def test_session_over_by_its_own_limit_is_a_miss(
    cache: SessionCache, document: SessionDocument, clock: HandClock, limit: str
) -> None:
    ending = msgspec.structs.replace(document, **{limit: clock.now() + SECOND})
    await cache.fill(ending)
    assert await cache.get(document.id) == ending
    clock.time += SECOND
    assert await cache.get(document.id) is None


async def test_fill_spends_its_age_from_the_life_in_redis(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str, clock: HandClock
) -> None:
    clock.time += 4 * SECOND
    await cache.fill(document)
    assert 20_000 < await raw.pttl(key_of(epoch, document.id)) <= 26_000


# -- an editor of Redis -------------------------------------------------------------------------------------


async def test_document_under_another_name_does_not_open(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str
) -> None:
    other = uuid4()
    await cache.fill(document)
    assert await cache.get(document.id) == document  # now it is in the memo
    await raw.set(key_of(epoch, other), await raw.get(key_of(epoch, document.id)), px=60_000)
    assert await cache.get(other) is None


@pytest.mark.parametrize("value", [b"", b":", b"x:", b"\xff\xfe", b"cache-20300101-00000000:gAAAA", b"no-such-key"])
async def test_foreign_value_is_a_miss(cache: SessionCache, raw: Redis, epoch: str, value: bytes) -> None:
    session_id = uuid4()
    await raw.set(key_of(epoch, session_id), value, px=60_000)
    assert await cache.get(session_id) is None


async def test_edited_value_is_a_miss(cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str) -> None:
    await cache.fill(document)
    assert await cache.get(document.id) == document
    value = bytearray(await raw.get(key_of(epoch, document.id)))
    value[len(value) // 2] ^= 1
    await raw.set(key_of(epoch, document.id), bytes(value), px=60_000)
    assert await cache.get(document.id) is None


async def test_memo_does_not_outlive_what_redis_holds(
    cache: SessionCache, document: SessionDocument, raw: Redis, epoch: str
) -> None:
    await cache.fill(document)
    assert await cache.get(document.id) == document
    await raw.delete(key_of(epoch, document.id))
    assert await cache.get(document.id) is None


async def test_without_redis_every_call_says_so_but_burying_nobody(
    codec: FieldCodec, clock: HandClock, document: SessionDocument
) -> None:
    client = RedisClient.open(RedisConfig(url="unix:///nonexistent/redis.sock"))
    cache = SessionCache(client, codec, "epoch123", clock)
    for call in (
        cache.get(document.id),
        cache.fill(document),
        cache.bury([document.id], LIFETIME),
        cache.mark(document.id),
    ):
        with pytest.raises(RedisUnavailable):
            await call
    await cache.bury([], LIFETIME)
    await client.close()
