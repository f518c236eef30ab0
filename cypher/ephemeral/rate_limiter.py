"""At most so many hits in any window, exactly: counted in Redis, and without Redis in this process. Never unlimited.

Redis learns of an identifier only its index under a key it does not have: addresses and names can be guessed, so that
a plain hash would hide neither.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from importlib.resources import files

from cypher.clock import Clock
from cypher.crypto.blind_index import BlindIndex
from cypher.ephemeral.decisions import Decision, Hit
from cypher.ephemeral.local_windows import LocalWindows
from cypher.ephemeral.sealed_values import key_name
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient
from cypher.redis_scripts import Script

logger = logging.getLogger("cypher.limits")

KIND = "limit-"
REFUSED = "-refused"
#: After a call that failed, this process counts for itself for so long, so that of all the checks of one request one
#: at most waits for a Redis that does not answer.
REST_SECONDS = 1.0


class RateLimiter:
    """One subject is an identifier within a category; its hits have one name and one hash slot."""

    def __init__(self, redis: RedisClient, index: BlindIndex, epoch: str, clock: Clock) -> None:
        self._redis = redis
        self._index = index
        self._epoch = epoch
        self._clock = clock
        self._local = LocalWindows(clock)
        self._local_until: float | None = None
        self._slide = _script(redis, "sliding_window.lua")
        self._look = _script(redis, "sliding_window_peek.lua")

    async def check_rate_limit(self, *, identifier: str, limit: int, window_seconds: int, category: str) -> Decision:
        """Admit and record a hit, or refuse it and record nothing. Never raises for want of Redis.

        `identifier` must be in its one canonical form; `limit` and `window_seconds` are 1 or more.
        """
        if limit < 1 or window_seconds < 1:
            raise ValueError("a limit admits one hit at least, in a window of one second at least")
        key, refused = self._keys(category, identifier)
        hit = Hit.new(key)
        if self._may_ask_redis():
            try:
                answer = await self._slide([key, refused], [limit, window_seconds * 1_000_000, hit.member])
            except RedisUnavailable:
                self._rest()
            else:
                self._answered()
                return _decision(answer, hit)
        return self._local.check(hit, limit=limit, window=timedelta(seconds=window_seconds))

    async def take_back(self, hits: Iterable[Hit]) -> None:
        """Forget these hits and no others, best effort: what stays behind leaves with its window."""
        for hit in hits:
            # In both places: a call that was given up may have been recorded in Redis before the local one was.
            self._local.take_back(hit)
            if self._may_ask_redis():
                try:
                    await self._redis.zrem(hit.key, hit.member)
                except RedisUnavailable:
                    self._rest()

    async def peek(self, *, identifier: str, limit: int, window_seconds: int, category: str) -> Decision:
        """Tell how a subject stands in Redis without a hit; `allowed` says whether one would be admitted."""
        key, _ = self._keys(category, identifier)
        hits, wait, reset = _numbers(await self._look([key], [limit, window_seconds * 1_000_000]))
        return Decision(
            allowed=hits < limit, remaining=max(limit - hits, 0), retry_after=_time(wait), reset=_time(reset)
        )

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

    def _may_ask_redis(self) -> bool:
        return self._local_until is None or self._clock.monotonic() >= self._local_until

    def _rest(self) -> None:
        if self._local_until is None:
            logger.warning("Redis does not answer: until it does, each process counts attempts for itself")
        self._local_until = self._clock.monotonic() + REST_SECONDS

    def _answered(self) -> None:
        if self._local_until is not None:
            logger.info("Redis answers again: attempts are counted together")
        self._local_until = None


def _script(redis: RedisClient, name: str) -> Script:
    return redis.script(files("cypher.ephemeral").joinpath("lua", name).read_text("utf-8"))


def _decision(answer: object, hit: Hit) -> Decision:
    admitted, remaining, wait, reset, first = _numbers(answer)
    return Decision(
        allowed=bool(admitted),
        remaining=remaining,
        retry_after=_time(wait),
        reset=_time(reset),
        hit=hit if admitted else None,
        first_refusal=bool(first),
    )


def _numbers(answer: object) -> list[int]:
    if not isinstance(answer, list):
        raise TypeError("a script of this module answers with a list")
    return [int(number) for number in answer]


def _time(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)
