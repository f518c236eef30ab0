"""Windows of a rate limiter that are held so full: what a round adds is taken away before the next one."""

import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from redis.asyncio import Redis

from cypher.clock import new_bytes

#: Names in one command or pipeline.
TOGETHER = 1000
#: The hits of a window came over so many seconds before now.
AGE_SECONDS = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How many subjects, what each is admitted, and how many hits of it are counted already."""

    subjects: int
    limit: int
    hits: int

    @property
    def name(self) -> str:
        subjects = "1 subject" if self.subjects == 1 else f"{self.subjects:,} subjects"
        return f"{subjects}, {100 * self.hits // self.limit} % of {self.limit:,}"

    @property
    def identifiers(self) -> list[str]:
        """Return addresses, one for each subject."""
        return [f"10.0.{number // 256}.{number % 256}" for number in range(self.subjects)]

    def times(self) -> list[float]:
        """Return when its hits came, in seconds since 1970, the oldest first."""
        now = time.time()
        return [now - AGE_SECONDS * (1 - number / self.hits) for number in range(self.hits)]


Insert = Callable[[Redis, str, Window], Awaitable[object]]


@dataclass(slots=True, kw_only=True)
class Held:
    """The names of a window's subjects in Redis, asked for in turn."""

    redis: Redis
    window: Window
    names: list[str]
    insert: Insert  #: puts the hits of a window under a name
    trim: Callable[[Redis, str], object]  #: adds to a pipeline what takes away all others
    _places: "itertools.cycle[int]" = field(init=False)
    _touched: set[str] = field(default_factory=set)

    async def fill(self) -> None:
        """Put so many hits under every name."""
        self._places = itertools.cycle(range(len(self.names)))
        first, *others = self.names
        await self.insert(self.redis, first, self.window)
        for start in range(0, len(others), TOGETHER):
            pipeline = self.redis.pipeline(transaction=False)
            for name in others[start : start + TOGETHER]:
                pipeline.copy(first, name)
            await pipeline.execute()

    def next(self) -> int:
        """Return the place of the subject that is hit now."""
        place = next(self._places)
        self._touched.add(self.names[place])
        return place

    async def restore(self) -> None:
        """Take away the hits since the last call."""
        pipeline = self.redis.pipeline(transaction=False)
        for name in self._touched:
            self.trim(pipeline, name)
        self._touched.clear()
        await pipeline.execute()

    async def forget(self) -> None:
        for start in range(0, len(self.names), TOGETHER):
            await self.redis.unlink(*self.names[start : start + TOGETHER])


async def insert_stamped(redis: Redis, name: str, window: Window) -> None:
    """Put the hits as Cypher's script does: a list of microseconds and names, the oldest first."""
    await redis.rpush(name, *(b"%016d" % round(1e6 * moment) + new_bytes(12) for moment in window.times()))


async def insert_seconds(redis: Redis, name: str, window: Window) -> None:
    """Put the hits as `limits` does: a list of seconds, the newest first."""
    await redis.lpush(name, *window.times())
