"""What happens to Redis."""

import asyncio
from collections.abc import Iterator
from typing import ClassVar

from redis.asyncio import Redis

from tests.faults.books import Books, Phase, hardly_any_failed
from tests.faults.fault import Fault, RedisFault

#: How long one request may wait for a Redis that is frozen: until the breaker has opened, and when it has.
BREAKER_SECONDS = 2.0
CLOSED_SECONDS, OPEN_SECONDS = 2.0, 1.0
#: So few that a short answer arrives in time and a long one does not.
SECONDS_A_BYTE = 0.001


class RedisKilled(RedisFault):
    name = "Redis killed, started again empty"

    async def begin(self) -> None:
        self.world.redis.kill()

    async def end(self) -> None:
        await self.world.redis.restart()


class RedisFrozen(RedisFault):
    name = "Redis frozen (SIGSTOP)"
    seconds = 6.0

    async def begin(self) -> None:
        self.world.redis.freeze()

    async def end(self) -> None:
        self.world.redis.thaw()

    def surprises(self, books: Books) -> Iterator[str]:
        yield from super().surprises(books)
        during = books.of(Phase.DURING)
        for each in during:
            is_open = each.began > during[0].began + BREAKER_SECONDS
            allowed = OPEN_SECONDS if is_open else CLOSED_SECONDS
            if each.seconds > allowed + books.stood_still:
                yield f"{each.route} took {each.seconds:.2f} s, {each.began - during[0].began:.2f} s after the freeze"


class RedisSlow(RedisFault):
    name = "Redis slow, byte by byte"
    through = frozenset({"redis"})

    async def begin(self) -> None:
        self.world.to_redis.trickle(SECONDS_A_BYTE)

    async def end(self) -> None:
        await self.world.to_redis.pass_on()


class RedisTold(RedisFault):
    """One that is told to misbehave."""

    order: ClassVar[tuple[str, ...]]
    order_back: ClassVar[tuple[str, ...]]

    async def begin(self) -> None:
        await self.tell(*self.order)

    async def end(self) -> None:
        await self.tell(*self.order_back)

    async def tell(self, *words: str) -> None:
        async with Redis.from_url(self.world.redis.url) as redis:
            await redis.execute_command(*words)


class RedisFull(RedisTold):
    """By its own policy it throws nothing out."""

    name = "Redis full (noeviction)"
    order = ("CONFIG", "SET", "maxmemory", "1")
    order_back = ("CONFIG", "SET", "maxmemory", "0")


class RedisReadOnly(RedisTold):
    """It follows a primary that nobody reaches."""

    name = "Redis read-only (a replica)"
    order = ("REPLICAOF", "127.0.0.1", "1")
    order_back = ("REPLICAOF", "NO", "ONE")


class RedisFlushed(RedisFault):
    """Whoever is in the middle of a login begins anew; all else goes on."""

    name = "Redis flushed, again and again"
    stops_logins = False

    async def begin(self) -> None:
        self._is_over = asyncio.Event()
        self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        async with Redis.from_url(self.world.redis.url) as redis:
            while not self._is_over.is_set():
                await redis.flushall()
                await asyncio.sleep(0.3)

    async def end(self) -> None:
        self._is_over.set()
        await self._flushing

    def surprises(self, books: Books) -> Iterator[str]:
        yield from super().surprises(books)
        if not hardly_any_failed(books.of(Phase.DURING, Phase.AFTER)):
            yield "requests failed that need nothing of what was lost"


REDIS_FAULTS: tuple[type[Fault], ...] = (
    RedisKilled,
    RedisFrozen,
    RedisSlow,
    RedisFlushed,
    RedisFull,
    RedisReadOnly,
)
