"""Opens what a service stands on. While PostgreSQL is away, probes are told so, and it is tried again.

What an operator must see to (a schema that is behind, a key store that does not fit) ends the start: no waiting helps.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import chain, repeat

from cypher.app import Resources, resources
from cypher.clock import Clock
from cypher.config import Config
from cypher.errors import PostgresUnavailable
from cypher.listening import listen_waiting
from cypher.trail import TrailKeeping

logger = logging.getLogger("cypher")

#: Each try costs the server a connection. Longer than the last of these nobody waits once it is there.
PAUSES = (0.5, 1.0, 2.0)
LONGEST_PAUSE = 5.0

Opened = tuple[Resources, TrailKeeping]


@asynccontextmanager
async def standing(config: Config, clock: Clock, port: int | None, *, is_first: bool) -> AsyncIterator[Opened]:
    """Open everything below the listeners, however long PostgreSQL takes; raises OperatorError for a refusal.

    Only the first of several workers may make the keys, and answers probes while it waits: later there are others that
    do, and they can answer more.
    """
    async with AsyncExitStack() as closing:
        try:
            opened = await _open(closing, config, clock, is_first=is_first)
        except PostgresUnavailable as exc:
            async with AsyncExitStack() as waiting:
                if is_first:
                    waiting.push_async_callback((await listen_waiting(config, port)).stop)
                opened = await _wait(partial(_open, closing, config, clock, is_first=is_first), exc)
        yield opened


async def _wait(open_: Callable[[], Awaitable[Opened]], why: PostgresUnavailable) -> Opened:
    """Try again until it opens."""
    for pause in chain(PAUSES, repeat(LONGEST_PAUSE)):
        logger.warning("%s Not ready; trying again in %g s.", str(why) or why.message(), pause)
        await asyncio.sleep(pause)
        try:
            opened = await open_()
        except PostgresUnavailable as exc:
            why = exc
        else:
            logger.info("PostgreSQL is there")
            return opened
    raise AssertionError("the pauses have no end")


async def _open(closing: AsyncExitStack, config: Config, clock: Clock, *, is_first: bool) -> Opened:
    """Open once; leaves nothing open when it raises."""
    async with AsyncExitStack() as attempt:
        open_ = await attempt.enter_async_context(resources(config, clock, may_create_keys=is_first))
        trail = TrailKeeping.over(open_)
        await trail.start()
        attempt.push_async_callback(trail.finish)
        await closing.enter_async_context(attempt.pop_all())
    return open_, trail
