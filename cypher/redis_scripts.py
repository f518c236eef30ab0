"""Lua scripts on one server: calls that come together are one write and one wait, each decided on its own."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from typing import Protocol, TypeVar, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from cypher.errors import RedisUnavailable
from cypher.shared_lookups import SharedLookups

T = TypeVar("T")

#: Its stub takes commands of one word only.
_pack = cast(Callable[[tuple[str | bytes | int, ...]], bytes], hiredis.pack_command)


class Script(Protocol):
    """A loaded Lua script: call it with its KEYS and ARGV."""

    async def __call__(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> object: ...


class Guarded(Protocol):
    """Bounds the time of whatever is asked of the server, and turns the driver's errors into RedisUnavailable."""

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T: ...


@dataclass(frozen=True, slots=True, eq=False)
class ScriptCall:
    """One call; never the same as another one, whatever it says."""

    digest: str
    keys: Sequence[str]
    args: Sequence[str | bytes | int]


class ScriptCalls:
    """Gathers the calls of all scripts. A script is sent once and then named by its digest."""

    def __init__(self, redis: Redis, guarded: Guarded, *, most: int, turns: int) -> None:
        """Take a server; `most` calls go out together, and `turns` times as many are under way."""
        self._redis = redis
        self._guarded = guarded
        self._sources: dict[str, str] = {}
        self._calls = SharedLookups(self._answers, most=most, turns=turns)

    def script(self, source: str) -> Script:
        """Return a callable for a script's text."""
        digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._sources[digest] = source

        async def run(keys: Sequence[str], args: Sequence[str | bytes | int]) -> object:
            answer = await self._calls.get(ScriptCall(digest, keys, args))
            if isinstance(answer, RedisError):
                raise RedisUnavailable from answer
            return answer

        return run

    async def _answers(self, calls: list[ScriptCall]) -> dict[ScriptCall, object]:
        answers = dict(zip(calls, await self._guarded(partial(self._ask, calls)), strict=True))
        unknown = [call for call, answer in answers.items() if isinstance(answer, NoScriptError)]
        if unknown:
            for digest in {call.digest for call in unknown}:
                await self._guarded(partial(self._redis.script_load, self._sources[digest]))
            answers |= zip(unknown, await self._guarded(partial(self._ask, unknown)), strict=True)
        return answers

    async def _ask(self, calls: list[ScriptCall]) -> list[object]:
        """Send all calls, then read all answers, of which each may be an error.

        By hand: a pipeline of redis-py takes 12 µs more for each of 64 calls.
        """
        pool = self._redis.connection_pool
        take: Callable[[], Awaitable[AbstractConnection]] = pool.get_connection
        connection = await take()
        all_read = False
        try:
            await connection.send_packed_command(b"".join(map(_packed, calls)))
            answers = [await _answer(connection) for _ in calls]
            all_read = True
        finally:
            if not all_read:
                # Or the next one who is given this connection would read what was meant for these.
                await connection.disconnect(nowait=True)
            await pool.release(connection)
        return answers


def _packed(call: ScriptCall) -> bytes:
    return _pack((b"EVALSHA", call.digest, len(call.keys), *call.keys, *call.args))


async def _answer(connection: AbstractConnection) -> object:
    try:
        # Without a time-out of its own, which costs more than to read what has arrived: all together have one.
        answer: object = await connection.read_response(timeout=math.inf)
    except ResponseError as exc:
        return exc
    return answer
