"""A hit counted by the limiter, beside the bare EVALSHA of the same script, and beside `limits` from PyPI."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from hashlib import sha1
from importlib.resources import files
from importlib.util import find_spec

from redis.asyncio import Redis

from bench.bare import CONNECTIONS, bare_redis
from bench.harness import Scenario, Target, Work, repeated
from bench.stands import Stands
from bench.windows import Held, Window, insert_seconds, insert_stamped
from cypher.app import Resources
from cypher.clock import new_bytes
from cypher.config import RedisConfig
from cypher.ephemeral.decisions import MEMBER
from cypher.ephemeral.rate_limiter import KIND, RateLimiter
from cypher.ephemeral.sealed_values import key_name

AT_ONCE = 64
HITS = AT_ONCE * 8
HOUR = 3600
CATEGORY = "bench"
WINDOWS = [
    Window(subjects=subjects, limit=limit, hits=limit * share // 100)
    for subjects, limit in ((1, 20_000), (10_000, 100))
    for share in (5, 50, 95)
]
SCRIPT = files("cypher.ephemeral").joinpath("lua", "sliding_window.lua").read_text("utf-8")

Operation = Callable[[], Awaitable[object]]


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    open_ = (await stands.small()).open_
    async with bare_redis(open_.config.redis) as redis:
        for window in WINDOWS:
            mine, plain = _of_cypher(open_, redis, window), _plain(redis, window)
            peer = _of_limits(redis, window) if find_spec("limits") else None
            holders = [mine, plain, *([peer] if peer else [])]
            for held in holders:
                await held.fill()

            async def restore(holders: list[Held] = holders) -> None:
                for held in holders:
                    await held.restore()

            hit = await _hit(open_, mine)
            scenario = partial(Scenario, name=window.name, work=_at_once(hit), size=HITS, prepare=restore)
            yield scenario(floor=_at_once(await _evalsha(redis, plain)), floor_name="EVALSHA")
            if peer:
                floor = _at_once(_hit_of_limits(open_.config.redis, peer))
                yield scenario(floor=floor, floor_name="limits, moving window", target=Target(ratio=0.25))
            for held in holders:
                await held.forget()


def _at_once(operation: Operation) -> Work:
    return repeated(operation, HITS, at_once=AT_ONCE)


def _of_cypher(open_: Resources, redis: Redis, window: Window) -> Held:
    kind = KIND + CATEGORY
    subjects = [open_.index.index(identifier, f"redis.{kind}").hex() for identifier in window.identifiers]
    return _held(redis, window, [key_name(open_.ring.epoch, kind, subject) for subject in subjects])


def _plain(redis: Redis, window: Window) -> Held:
    return _held(redis, window, [f"cypher-bench:{{{identifier}}}" for identifier in window.identifiers])


def _held(redis: Redis, window: Window, names: list[str]) -> Held:
    def trim(pipeline: Redis, name: str) -> object:
        return pipeline.ltrim(name, 0, window.hits - 1)

    return Held(redis=redis, window=window, names=names, insert=insert_stamped, trim=trim)


async def _hit(open_: Resources, held: Held) -> Operation:
    window, identifiers = held.window, held.window.identifiers
    limiter = RateLimiter(open_.redis, open_.index, open_.ring.epoch, open_.clock)
    about = {"limit": window.limit, "window_seconds": HOUR, "category": CATEGORY}
    stands_at = await limiter.peek(identifier=identifiers[0], **about)  # type: ignore[arg-type]
    assert stands_at.remaining == window.limit - window.hits

    async def hit() -> None:
        identifier = identifiers[held.next()]
        decision = await limiter.check_rate_limit(identifier=identifier, **about)  # type: ignore[arg-type]
        assert decision.allowed

    return hit


async def _evalsha(redis: Redis, held: Held) -> Operation:
    digest = sha1(SCRIPT.encode()).hexdigest()
    await redis.script_load(SCRIPT)
    window = HOUR * 1_000_000

    async def hit() -> None:
        name = held.names[held.next()]
        of_window, member = (held.window.limit, window, MEMBER), new_bytes(MEMBER)
        before, *_ = await redis.evalsha(digest, 2, name, f"{name}-refused", *of_window, member)
        assert before < held.window.limit

    return hit


def _of_limits(redis: Redis, window: Window) -> Held:
    from limits import RateLimitItemPerHour

    item = RateLimitItemPerHour(window.limit)

    def trim(pipeline: Redis, name: str) -> object:
        return pipeline.ltrim(name, -window.hits, -1)

    names = [f"LIMITS:{item.key_for(identifier)}" for identifier in window.identifiers]
    return Held(redis=redis, window=window, names=names, insert=insert_seconds, trim=trim)


def _hit_of_limits(config: RedisConfig, held: Held) -> Operation:
    from limits import RateLimitItemPerHour
    from limits.aio.storage import RedisStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    assert config.url
    scheme, _, address = config.url.partition("://")
    storage = RedisStorage(
        f"async+{'redis+unix' if scheme == 'unix' else scheme}://{address}",
        implementation="redispy",
        protocol=2,
        max_connections=CONNECTIONS,
        password=config.password.reveal() if config.password else "",
    )
    limiter = MovingWindowRateLimiter(storage)
    item, identifiers = RateLimitItemPerHour(held.window.limit), held.window.identifiers

    async def hit() -> None:
        assert await limiter.hit(item, identifiers[held.next()])

    return hit
