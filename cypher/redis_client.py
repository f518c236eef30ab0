"""Redis with short time-outs, no hidden retries and a breaker; the driver's errors become `RedisUnavailable` here.

It knows nothing of what is stored. Commands are methods one by one, so that what Cypher asks of Redis is read here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Self, TypeVar, cast

from redis.asyncio import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cypher.clock import Clock, SystemClock
from cypher.config import RedisConfig
from cypher.errors import RedisUnavailable
from cypher.redis_pipe import Pipe, Word
from cypher.redis_scripts import Script, script_over
from cypher.redis_servers import CONNECTIONS, AnyRedis, ClusterMap, connect
from cypher.shared_calls import SharedCalls

T = TypeVar("T")

#: Commands of one pipeline: each pipeline has the time of one call.
SLICE = 500
#: Calls of one kind under way at once: while they are, more gather. On a shared connection a second would wait for the
#: first all the same; in a cluster one that waits for a slow server would hold up all others.
TURNS, TURNS_IN_CLUSTER = 1, 2
#: Behind a name: what is written for a moment to see when replicas have it.
REPLICATED = "-replicated"
FAILURES = 5
REST_SECONDS = 1.0


class Breaker:
    """After five failures in a row nobody waits: one call a second is let through to see whether Redis is back.

    A connection that is lost is one failure, however many shared it: one pause of Redis keeps nobody else away.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._last: BaseException | None = None
        self._closed_until = 0.0

    def admit(self) -> bool:
        if self._failures < FAILURES:
            return True
        now = self._clock.monotonic()
        if now < self._closed_until:
            return False
        # This caller is the probe. Should it be cancelled, the next one comes a rest later.
        self._closed_until = now + REST_SECONDS
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, failure: BaseException) -> None:
        """Count a failure, unless it is another one's as well."""
        self._failures += failure is not self._last
        self._last = failure
        self._closed_until = self._clock.monotonic() + REST_SECONDS


class RedisClient:
    """Every method raises `RedisUnavailable`, within the time to connect and the time of a command."""

    def __init__(self, redis: AnyRedis, config: RedisConfig, clock: Clock, closing: AsyncExitStack) -> None:
        """Take over an open client; call `open`."""
        self._redis = redis
        self._replicas = config.wait_replicas
        self._replica_ms = round(config.command_seconds * 500)  # half of what the whole answer may take
        # The steps of a call (a free place, connect, AUTH, the command) have a time-out each; this bounds their sum.
        self._seconds = config.connect_seconds + config.command_seconds
        self._closing = closing
        # The driver's own pools raise when they are empty, or cost more than this for each call.
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._breaker = Breaker(clock)
        self._map = ClusterMap(redis) if isinstance(redis, RedisCluster) else None
        self.turns = TURNS_IN_CLUSTER if self._map else TURNS
        self._values = SharedCalls(self._get_each, most=SLICE, turns=self.turns)
        # Of a cluster the driver knows which server has a name.
        self._pipe = (
            None
            if isinstance(redis, RedisCluster)
            else Pipe(redis.connection_pool, connect_seconds=self._seconds, answer_seconds=config.command_seconds)
        )

    @classmethod
    def open(cls, config: RedisConfig, clock: Clock | None = None) -> Self:
        """Make a client without connecting; `config` must name a server (`ValueError` while it is still embedded)."""
        closing = AsyncExitStack()
        return cls(connect(config, closing), config, clock or SystemClock(), closing)

    async def close(self) -> None:
        """Close every connection; calls still under way fail."""
        if self._pipe:
            await self._pipe.close()
        await self._closing.aclose()

    @property
    def is_cluster(self) -> bool:
        """Whether a script may name only what is on one hash slot."""
        return self._pipe is None

    async def ping(self) -> bool:
        """Tell whether Redis answers; never raises."""
        try:
            await self._ask("PING")
        except RedisUnavailable:
            return False
        return True

    async def get(self, key: str) -> bytes | None:
        """Return what stands there now; all that is asked for in one turn of the loop is one MGET."""
        return await self._values.get(key)

    async def getdel(self, key: str) -> bytes | None:
        """Return and delete in one step: of any number of callers one gets the value."""
        return _value(await self._ask("GETDEL", key))

    async def set(self, key: str, value: bytes, *, px: int, nx: bool = False) -> bool:
        """Store for `px` milliseconds; with `nx` only where nothing stands. Return whether it was stored."""
        condition = ("NX",) if nx else ()
        return bool(await self._ask("SET", key, value, "PX", px, *condition))

    async def set_each(self, keys: Iterable[str], value: bytes, *, px: int) -> None:
        """Store one value under many keys, some hundreds in a round trip; on failure some may have been stored."""
        waiting = list(keys)
        for start in range(0, len(waiting), SLICE):
            pipeline = self._redis.pipeline(transaction=False)
            for key in waiting[start : start + SLICE]:
                pipeline.set(key, value, px=px)
            await self._by_driver(pipeline.execute)

    async def replicate(self, keys: Collection[str]) -> None:
        """Return when as many replicas as the settings ask for have what was written to these names until now.

        A failover to one of them then loses nothing of it. Raises RedisUnavailable when they have not, in the time of
        a command; it stands on the primary all the same.
        """
        if self._replicas and keys and min(await self._by_driver(partial(self._wait, keys))) < self._replicas:
            raise RedisUnavailable

    async def delete(self, key: str) -> bool:
        """Delete and return whether anything stood there."""
        return bool(await self._ask("DEL", key))

    async def scan(self, pattern: str) -> AsyncIterator[str]:
        """Yield the names that match, perhaps some of them twice; every step has the time of one call."""
        for step in await self._each_server(self._redis.scan):
            cursor: object = 0
            while True:
                cursor, names = await self._by_driver(partial(step, cursor, pattern, SLICE))
                for name in names:
                    yield name.decode() if isinstance(name, bytes) else name
                # A cluster answers with the cursor of each server that was asked: here one.
                cursor = next(iter(cursor.values()), 0) if isinstance(cursor, dict) else cursor
                if not cursor:
                    break

    async def content(self, key: str) -> bytes:
        """Return what stands under a name, a value or the elements of a list; nothing where it is gone."""
        if await self._ask("TYPE", key) in (b"list", "list"):
            elements = await self._by_driver(lambda: self._redis.lrange(key, 0, -1))
            return b" ".join(element for element in elements if isinstance(element, bytes))
        return await self.get(key) or b""

    async def describe_servers(self) -> list[dict[str, object]]:
        """Return what every server that holds a part of the names says of itself (INFO)."""
        return [await self._by_driver(call) for call in await self._each_server(self._redis.info)]

    async def get_setting(self, name: str) -> list[str]:
        """Return a setting of every such server (CONFIG GET)."""
        calls = await self._each_server(partial(self._redis.config_get, name))
        return [str((await self._by_driver(call)).get(name, "")) for call in calls]

    def script(self, source: str) -> Script:
        """Return a callable for a Lua script's text; it is sent once and then named by its digest."""
        if self._pipe:
            call, guarded = script_over(self._pipe, source), self._guarded
        else:
            call, guarded = self._script_of_driver(source), self._by_driver

        async def run(keys: Sequence[str], args: Sequence[Word]) -> object:
            return await guarded(partial(call, keys, args))

        return run

    def _script_of_driver(self, source: str) -> Script:
        registered = self._redis.register_script(source)

        async def run(keys: Sequence[str], args: Sequence[Word]) -> object:
            return await registered(keys=list(keys), args=list(args))

        return run

    async def _ask(self, *words: Word) -> object:
        """Send a command of one answer that is quick to give."""
        if self._pipe:
            return await self._guarded(partial(self._pipe.ask, *words))
        return await self._by_driver(partial(self._redis.execute_command, *words))

    async def _get_each(self, keys: list[str]) -> dict[str, bytes | None]:
        if self._pipe:
            found = cast(list[object], await self._ask("MGET", *keys))
        else:
            # One command names the keys of one slot only; a pipeline asks each server once.
            pipeline = self._redis.pipeline()
            for key in keys:
                pipeline.get(key)
            found = await self._by_driver(pipeline.execute)
        return dict(zip(keys, map(_value, found), strict=True))

    async def _wait(self, keys: Collection[str]) -> list[int]:
        """Return how many replicas have all that their primary has, for each primary that holds some of these names."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        primaries: list[tuple[str, dict[str, Any]]] = [(next(iter(keys)), {})]
        if isinstance(self._redis, RedisCluster):
            by_node = {self._redis.get_node_from_key(key): key for key in keys}
            primaries = [(key, {"target_nodes": node}) for node, key in by_node.items()]
        for key, primary in primaries:
            # WAIT speaks of the last write of its own connection. Whoever has this one has all that came before it.
            pipeline.execute_command("SET", key + REPLICATED, "", "PX", 1000, **primary)
            pipeline.execute_command("WAIT", self._replicas, self._replica_ms, **primary)
        answers: list[int] = await pipeline.execute()
        return answers[1::2]

    async def _each_server(self, call: Callable[..., Awaitable[Any]]) -> list[Callable[..., Awaitable[Any]]]:
        """Return a call for each server that holds a part of the names."""
        if not isinstance(self._redis, RedisCluster):
            return [call]
        await self._by_driver(self._redis.initialize)
        return [partial(call, target_nodes=node) for node in self._redis.get_primaries()]

    async def _by_driver(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._guarded(partial(self._in_time, call))

    async def _in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._seconds), self._places:
            if self._map:
                await self._map.be_known()
            return await call()

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        if not self._breaker.admit():
            raise RedisUnavailable
        try:
            answer = await call()
        # The last one is what the driver of a cluster raises for a connection that it has closed under a call.
        except (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError, AttributeError) as exc:
            self._breaker.failed(exc)
            raise RedisUnavailable from exc
        except RedisError as exc:
            # It answered, if only to refuse: no reason to keep everybody else away.
            self._breaker.succeeded()
            raise RedisUnavailable from exc
        self._breaker.succeeded()
        return answer


def _value(answer: object) -> bytes | None:
    return answer if isinstance(answer, bytes) else None
