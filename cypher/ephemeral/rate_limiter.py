"""At most so many hits in any window, exactly: counted in Redis, and without Redis in this process. Never unlimited.

Redis learns of an identifier only its index under a key it does not have: addresses and names can be guessed, so that
a plain hash would hide neither.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from cypher.clock import Clock
from cypher.crypto.blind_index import BlindIndex
from cypher.ephemeral.decisions import Decision, Hit
from cypher.ephemeral.local_windows import LocalWindows
from cypher.ephemeral.redis_windows import Attempt, RedisWindows
from cypher.ephemeral.sealed_values import key_name
from cypher.redis_client import RedisClient

KIND = "limit-"
REFUSED = "-refused"
SECOND_US = 1_000_000


class RateLimiter:
    """One subject is an identifier within a category; its hits have one name and one hash slot."""

    def __init__(self, redis: RedisClient, index: BlindIndex, epoch: str, clock: Clock) -> None:
        self._redis = redis
        self._index = index
        self._epoch = epoch
        self._windows = RedisWindows(redis, clock)
        self._local = LocalWindows(clock)

    async def check_rate_limit(self, *, identifier: str, limit: int, window_seconds: int, category: str) -> Decision:
        """Admit and record a hit, or refuse it and record nothing. Never raises for want of Redis.

        `identifier` must be in its one canonical form; `limit` and `window_seconds` are 1 or more.
        """
        if limit < 1 or window_seconds < 1:
            raise ValueError("a limit admits one hit at least, in a window of one second at least")
        key, refused = self._keys(category, identifier)
        attempt = Attempt(key=key, refused=refused, limit=limit, window_us=window_seconds * SECOND_US)
        decision = await self._windows.check(attempt)
        # Under the same name as in Redis, which may have recorded it and not have told.
        return decision or self._local.check(attempt.hit(), limit=limit, window=timedelta(seconds=window_seconds))

    async def take_back(self, hits: Iterable[Hit]) -> None:
        """Forget these hits and no others, best effort: what stays behind leaves with its window."""
        # In both places: a call that was given up may have been recorded in Redis before the local one was.
        each = list(hits)
        for hit in each:
            self._local.take_back(hit)
        await self._windows.take_back(each)

    async def peek(self, *, identifier: str, limit: int, window_seconds: int, category: str) -> Decision:
        """Tell how a subject stands in Redis without a hit; `allowed` says whether one would be admitted."""
        key, _ = self._keys(category, identifier)
        return await self._windows.peek(key, limit=limit, window_us=window_seconds * SECOND_US)

    async def reset(self, *, identifier: str, category: str) -> bool:
        """Forget a subject, in Redis and in this process; tell whether Redis knew it. Raises RedisUnavailable."""
        key, refused = self._keys(category, identifier)
        self._local.forget(key)
        await self._redis.delete(refused)
        return await self._redis.delete(key)

    async def count_subjects(self) -> tuple[Counter[str], Counter[str]]:
        """Return by category how many subjects are counted now, and how many were refused within their window.

        Walks through every name in Redis; while others write, a subject may be missed or counted twice.
        """
        counted: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        async for name in self._redis.scan(f"cypher:{self._epoch}:{KIND}*"):
            category = name.split(":")[2].removeprefix(KIND)
            if category.endswith(REFUSED):
                refused[category.removesuffix(REFUSED)] += 1
            else:
                counted[category] += 1
        return counted, refused

    def _keys(self, category: str, identifier: str) -> tuple[str, str]:
        kind = KIND + category
        subject = self._index.index(identifier, f"redis.{kind}").hex()
        return key_name(self._epoch, kind, subject), key_name(self._epoch, kind + REFUSED, subject)
