"""Sliding windows in Redis. Hits that come together are counted by as few calls as may be, each as if it came alone."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from importlib.resources import files

import msgspec

from cypher.clock import Clock, new_bytes
from cypher.ephemeral.decisions import MEMBER, Decision, Hit
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient
from cypher.redis_scripts import Script
from cypher.shared_calls import SharedCalls

logger = logging.getLogger("cypher.limits")

#: Hits of one call.
TOGETHER = 32
#: After a call that failed, this process counts for itself for so long, so that of all the checks of one request one
#: at most waits for a Redis that does not answer.
REST_SECONDS = 1.0


class Attempt(msgspec.Struct, kw_only=True, eq=False):
    """A hit that is to be counted; never the same as another one, whatever it says."""

    key: str  #: name of the subject's hits
    refused: str  #: name of what stands after a refusal, on the same slot
    limit: int
    window_us: int
    member: bytes = b""  #: the hit's name, once Redis was asked

    def hit(self) -> Hit:
        """Return what it is recorded as."""
        return Hit(key=self.key, member=self.member) if self.member else Hit.new(self.key)


#: Attempts of one limit and window, subject by subject.
Call = list[list[Attempt]]


class RedisWindows:
    """Counts by `lua/sliding_window.lua`, unless Redis was away a moment ago."""

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._clock = clock
        self._resting_until: float | None = None
        self._slide = _script(redis, "sliding_window.lua")
        self._look = _script(redis, "sliding_window_peek.lua")
        self._forget = _script(redis, "sliding_window_take_back.lua")
        # Two calls at once would come back together, and leave Redis nothing to do while both are handed out.
        self._attempts = SharedCalls(self._decide, most=TOGETHER, turns=redis.turns, ahead=True)
        # In a cluster a script takes the names of one slot only.
        self._subjects = 1 if redis.is_cluster else TOGETHER

    async def check(self, attempt: Attempt) -> Decision | None:
        """Admit and record a hit, or refuse it and record nothing; None where Redis did not say which."""
        return await self._attempts.get(attempt) if self._may_ask() else None

    async def take_back(self, hits: Sequence[Hit]) -> None:
        """Forget these hits and no others, best effort: what stays behind leaves with its window."""
        if self._may_ask():
            calls = [hits[start : start + self._subjects] for start in range(0, len(hits), self._subjects)]
            await asyncio.gather(*map(self._take_back, calls))

    async def peek(self, key: str, *, limit: int, window_us: int) -> Decision:
        """Tell how a subject stands, without a hit; raises RedisUnavailable."""
        hits, wait, reset = _numbers(await self._look([key], [limit, window_us]))
        return Decision(allowed=hits < limit, remaining=max(limit - hits, 0), retry_after_us=wait, reset_us=reset)

    async def _decide(self, attempts: list[Attempt]) -> dict[Attempt, Decision]:
        decisions: dict[Attempt, Decision] = {}
        # A call may have failed while these waited for their turn.
        if self._may_ask():
            _name(attempts)
            await asyncio.gather(*(self._call(call, decisions) for call in _calls(attempts, self._subjects)))
        return decisions

    async def _call(self, call: Call, decisions: dict[Attempt, Decision]) -> None:
        rule = call[0][0]
        keys = [key for subject in call for key in (subject[0].key, subject[0].refused)]
        members = [b"".join([attempt.member for attempt in subject]) for subject in call]
        try:
            answer = await self._slide(keys, [rule.limit, rule.window_us, MEMBER, *members])
        except RedisUnavailable:
            self._rest()
            return
        self._answered()
        number = iter(_numbers(answer))
        for subject, before, wait, reset, first in zip(call, number, number, number, number, strict=True):
            room = max(rule.limit - before, 0)
            for place, attempt in enumerate(subject):
                decisions[attempt] = _decision(attempt, room - place, wait, reset, first=bool(first) and place == room)

    async def _take_back(self, hits: Sequence[Hit]) -> None:
        try:
            await self._forget([hit.key for hit in hits], [hit.member for hit in hits])
        except RedisUnavailable:
            self._rest()

    def _may_ask(self) -> bool:
        return self._resting_until is None or self._clock.monotonic() >= self._resting_until

    def _rest(self) -> None:
        if self._resting_until is None:
            logger.warning("Redis does not answer: until it does, each process counts attempts for itself")
        self._resting_until = self._clock.monotonic() + REST_SECONDS

    def _answered(self) -> None:
        if self._resting_until is not None:
            logger.info("Redis answers again: attempts are counted together")
        self._resting_until = None


def _calls(attempts: list[Attempt], most: int) -> Iterator[Call]:
    """Share attempts out among calls of at most so many subjects."""
    rules: dict[tuple[int, int], dict[str, list[Attempt]]] = {}
    for attempt in attempts:
        subjects = rules.setdefault((attempt.limit, attempt.window_us), {})
        subjects.setdefault(attempt.key, []).append(attempt)
    for subjects in rules.values():
        each = list(subjects.values())
        yield from (each[start : start + most] for start in range(0, len(each), most))


def _name(attempts: list[Attempt]) -> None:
    """Draw all names at once: one by one they take 1 µs each."""
    drawn = new_bytes(MEMBER * len(attempts))
    for place, attempt in enumerate(attempts):
        attempt.member = drawn[MEMBER * place : MEMBER * (place + 1)]


def _decision(attempt: Attempt, room: int, wait: int, reset: int, *, first: bool) -> Decision:
    """Return what one is told who found so much room. `wait` is what it comes to when all the room is taken."""
    if room <= 0:
        return Decision(allowed=False, remaining=0, retry_after_us=wait, reset_us=reset, first_refusal=first)
    wait = wait if room == 1 else 0
    return Decision(allowed=True, remaining=room - 1, retry_after_us=wait, reset_us=reset, hit=attempt.hit())


def _script(redis: RedisClient, name: str) -> Script:
    return redis.script(files("cypher.ephemeral").joinpath("lua", name).read_text("utf-8"))


def _numbers(answer: object) -> list[int]:
    if not isinstance(answer, list):
        raise TypeError("a script of this module answers with a list")
    return answer
