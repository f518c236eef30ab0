"""One running service: open, listen, say where, wait for the end, drain, close."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from cypher.app import Resources, background_reencryption, resources
from cypher.auth import Services
from cypher.auth.deliveries import Deliveries
from cypher.clock import Clock
from cypher.config import Config
from cypher.listening import Listeners, listen
from cypher.maintenance.background import PAUSE_SECONDS
from cypher.maintenance.housekeeping import House, repeat
from cypher.operating import build_operations
from cypher.settings import is_loopback
from cypher.signals import ending
from cypher.trail import TrailKeeping
from cypher.web.webhook import Webhook
from cypher.wiring import build_services

logger = logging.getLogger("cypher")


async def serve(config: Config, clock: Clock, announce: str) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is printed when requests are answered."""
    stop = asyncio.Event()
    for number in ending():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config, clock):
        print(announce, flush=True)
        await stop.wait()
        logger.info("stopping: no longer ready, finishing what is under way")


@asynccontextmanager
async def running(config: Config, clock: Clock, *, port: int | None = None) -> AsyncIterator[Listeners]:
    """Run a service inside the block; `port` 0 takes a free one, for operators as well."""
    async with AsyncExitStack() as closing:
        open_ = await closing.enter_async_context(resources(config, clock, may_create_keys=True))
        trail = TrailKeeping.over(open_)
        await trail.start()
        closing.push_async_callback(trail.finish)
        operations = build_operations(open_)
        closing.push_async_callback(operations.stop)
        services = await closing.enter_async_context(delivering(open_, build_services(open_)))
        listeners = await listen(services, operations, config, port)
        closing.push_async_callback(listeners.stop)
        await _warn(open_)
        tasks = [asyncio.create_task(work) for work in (*_maintenance(open_), *trail.work())]
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


def _maintenance(open_: Resources) -> Iterator[Coroutine[None, None, None]]:
    """What goes on beside the requests."""
    yield repeat(House(open_.keys, open_.db).keep)
    if open_.config.keys.reencrypt_background:
        yield repeat(background_reencryption(open_).sweep, pause=PAUSE_SECONDS)
