"""One running service: open, listen, say where, wait for the end, drain, close."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from cypher.app import Resources, background_reencryption
from cypher.auth.deliveries import Deliveries
from cypher.auth.use_cases import Services
from cypher.clock import Clock
from cypher.config import Config
from cypher.listening import Listeners, listen
from cypher.logs import report_unexpected
from cypher.maintenance import measuring
from cypher.maintenance.background import PAUSE_SECONDS
from cypher.maintenance.housekeeping import House, repeat
from cypher.maintenance.operations import Operations
from cypher.operating import build_operations
from cypher.settings import is_loopback
from cypher.signals import Ending
from cypher.starting import standing
from cypher.web.webhook import Webhook
from cypher.wiring import build_services

logger = logging.getLogger("cypher")

#: That many more than were freed, and they are looked through: some 2 ms. With 700 it took a tenth of all CPU.
NEW_OBJECTS = 5_000


async def serve(
    config: Config,
    clock: Clock,
    announce: Callable[[], object],
    *,
    link: socket.socket | None = None,
    is_first: bool = True,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; `announce` is called when requests are answered.

    One of several workers has the `link` to its parent; only the first of them all makes keys.
    """
    ending = Ending(link)
    asyncio.get_running_loop().set_exception_handler(report_unexpected)
    try:
        async with running(config, clock, hurried=ending.hurried, is_first=is_first) as listeners:
            _settle()
            ending.started()
            announce()
            await ending.asked.wait()
            logger.info("stopping: no longer ready, finishing what is under way")
            await _stay(listeners, ending, config.http.shutdown_delay.total_seconds())
    except asyncio.CancelledError:
        if not ending.asked.is_set():
            raise
        logger.info("stopped before it served")


def _settle() -> None:
    """Leave the garbage collector little to do: it holds up all requests while it looks for cycles.

    What was loaded and built until now is there to the end: to go through its 100,000 objects took 65 ms, once in some
    thousand requests. And it looks through new objects after every 700, of which 64 requests under way have more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


async def _stay(listeners: Listeners, ending: Ending, seconds: float) -> None:
    """Go on answering for a moment, not ready any more, until balancers have seen it; at a terminal nobody balances."""
    listeners.announce_stop()
    if ending.by == signal.SIGTERM:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ending.hurried.wait()


@asynccontextmanager
async def running(
    config: Config,
    clock: Clock,
    *,
    port: int | None = None,
    hurried: asyncio.Event | None = None,
    is_first: bool = True,
) -> AsyncIterator[Listeners]:
    """Run a service inside the block; `port` 0 takes a free one, for operators as well.

    At the end requests under way are finished, or broken off once `hurried` is set.
    """
    async with AsyncExitStack() as closing:
        open_, trail = await closing.enter_async_context(standing(config, clock, port, is_first=is_first))
        operations = build_operations(open_)
        closing.push_async_callback(operations.stop)
        services = await closing.enter_async_context(delivering(open_, build_services(open_)))
        listeners = await listen(services, operations, config, port)
        closing.push_async_callback(listeners.stop, hurried)
        await _warn(open_)
        tasks = [asyncio.create_task(work) for work in (*_maintenance(open_, operations), *trail.work())]
        try:
            yield listeners
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _warn(open_: Resources) -> None:
    """Say what is worth a look before anything has gone wrong."""
    config = open_.config
    if config.keys.store == "postgres":
        logger.warning(
            "The keys are in PostgreSQL: every dump of this database holds them, wrapped by the master password "
            "alone. Keep it apart from the dumps."
        )
    if config.operators.port is not None and not is_loopback(config.operators.host):
        logger.warning(
            "Other machines reach the operators' listener (ADMIN_HOST), and service tokens cross the wire as they "
            "are: put TLS in front of it, and a firewall."
        )
    if not await open_.redis.ping():
        logger.warning("Redis does not answer: logins are refused until it does. Look at the REDIS_ settings.")


@asynccontextmanager
async def delivering(open_: Resources, services: Services) -> AsyncIterator[Services]:
    """Bring to RECOVERY_WEBHOOK, if there is one, what people ask for inside the block, and then what is left of it."""
    config = open_.config.recovery.webhook
    if config is None:
        yield services
        return
    async with Webhook.open(config, open_.clock) as webhook:
        deliveries = Deliveries(services.recovery_requests, webhook.deliver)
        task = asyncio.create_task(repeat(deliveries.work))
        try:
            yield services
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await deliveries.settle()


def _maintenance(open_: Resources, operations: Operations) -> Iterator[Coroutine[None, None, None]]:
    """What goes on beside the requests."""
    yield repeat(operations.measuring.sample, pause=measuring.PAUSE_SECONDS)
    yield repeat(House(open_.keys, open_.db).keep)
    if open_.config.keys.reencrypt_background:
        yield repeat(background_reencryption(open_).sweep, pause=PAUSE_SECONDS)
