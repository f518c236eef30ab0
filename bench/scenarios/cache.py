"""A session asked of the cache, beside redis-py's GET: of one name, and of sixteen in a pipeline."""

import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

from redis.asyncio import Redis

from bench.bare import bare_redis
from bench.harness import Scenario, repeated
from bench.stands import Stand, Stands
from cypher.auth.living import document_of
from cypher.ephemeral.sealed_values import key_name
from cypher.ephemeral.session_cache import KIND, SessionCache, Tombstone

TOGETHER = 16
CALLS = TOGETHER * 16
HOUR = timedelta(hours=1)
#: A document is trusted for 30.
FRESH_SECONDS = 15.0


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    async with bare_redis(stand.open_.config.redis) as redis:
        cached = Cached(stand, redis)
        living, dead, unknown = [each.session_id for each in stand.people], [uuid4()], [uuid4()]
        await cached.fill()
        await cached.cache.bury(dead, HOUR)
        assert [type(await cached.cache.get(each)).__name__ for each in living[:3]] == ["SessionDocument"] * 3
        assert await cached.cache.get(dead[0]) is Tombstone.REVOKED
        assert await cached.cache.get(unknown[0]) is None
        for name, ids in (("hit", living), ("miss", unknown), ("tombstone", dead)):
            yield cached.one_by_one(name, ids)
            yield cached.together(name, ids)
        await redis.delete(*map(cached.name_of, [*living, *dead]))


class Cached:
    """The cache of a stand, and the same names through redis-py."""

    def __init__(self, stand: Stand, redis: Redis) -> None:
        open_ = stand.open_
        self.cache = SessionCache(open_.redis, open_.codec, open_.ring.epoch, open_.clock)
        self._stand = stand
        self._redis = redis
        self._filled_at = float("-inf")

    def name_of(self, session_id: UUID) -> str:
        return key_name(self._stand.open_.ring.epoch, KIND, str(session_id))

    async def fill(self) -> None:
        """Put every session into the cache anew, where that is due."""
        if time.monotonic() - self._filled_at < FRESH_SECONDS:
            return
        self._filled_at = time.monotonic()
        await self._redis.delete(*(self.name_of(person.session_id) for person in self._stand.people))
        async with self._stand.open_.db.connection() as repos:
            for person in self._stand.people:
                session = await repos.sessions.get_session(person.session_id)
                assert session
                await self.cache.fill(document_of(session, self._stand.open_.clock.now()))

    def one_by_one(self, name: str, ids: list[UUID]) -> Scenario:
        names = itertools.cycle([self.name_of(each) for each in ids])
        return Scenario(
            name=f"{name}, one at a time",
            work=repeated(self._asking(ids), CALLS),
            floor=repeated(lambda: self._redis.get(next(names)), CALLS),
            floor_name="GET",
            size=CALLS,
            prepare=self.fill,
        )

    def together(self, name: str, ids: list[UUID]) -> Scenario:
        names = itertools.cycle([self.name_of(each) for each in ids])

        async def pipeline() -> None:
            commands = self._redis.pipeline(transaction=False)
            for _ in range(TOGETHER):
                commands.get(next(names))
            await commands.execute()

        return Scenario(
            name=f"{name}, {TOGETHER} at once",
            work=repeated(self._asking(ids), CALLS, at_once=TOGETHER),
            floor=repeated(pipeline, CALLS // TOGETHER, holds=TOGETHER),
            floor_name=f"pipeline of {TOGETHER} GETs",
            size=CALLS,
            prepare=self.fill,
        )

    def _asking(self, ids: list[UUID]) -> Callable[[], Awaitable[object]]:
        turns = itertools.cycle(ids)
        return lambda: self.cache.get(next(turns))
