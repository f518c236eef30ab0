"""One running service: open, listen, say where, wait for the end, drain, close."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

from cypher.app import Resources, background_reencryption, build_services, resources
from cypher.clock import Clock
from cypher.config import Config
from cypher.errors import OperatorError
from cypher.maintenance.background import PAUSE_SECONDS
from cypher.maintenance.housekeeping import House, repeat
from cypher.trail import TrailKeeping
from cypher.web.application import make_web_app
from cypher.web.server import WebServer

logger = logging.getLogger("cypher")


async def serve(config: Config, clock: Clock, announce: str) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is printed when requests are answered."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config, clock) as server:
        print(announce.replace("{url}", f"http://{config.http.host}:{server.port}"), flush=True)
        await stop.wait()
        logger.info("stopping: no longer ready, finishing what is under way")


@asynccontextmanager
async def running(config: Config, clock: Clock, *, port: int | None = None) -> AsyncIterator[WebServer]:
    """Run a service inside the block; `port` 0 takes a free one."""
    async with resources(config, clock, may_create_keys=True) as open_:
        trail = TrailKeeping.over(open_)
        await trail.start()
        app = make_web_app(build_services(open_), config)
        chosen = config.http.port if port is None else port
        try:
            server = await WebServer.start(app, config.http.host, chosen, drain=timedelta(seconds=30))
        except OSError as exc:
            raise OperatorError(
                f"{config.http.host}:{chosen} cannot be listened on. Is it taken? Look at PORT, and at HOST."
            ) from exc
        if config.keys.store == "postgres":
            logger.warning(
                "The keys are in PostgreSQL: every dump of this database holds them, wrapped by the master password "
                "alone. Keep it apart from the dumps."
            )
        if not await open_.redis.ping():
            logger.warning("Redis does not answer: logins are refused until it does. Look at the REDIS_ settings.")
        tasks = [asyncio.create_task(work) for work in (*_maintenance(open_), *trail.work())]
        try:
            yield server
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.stop()
            await trail.finish()


def _maintenance(open_: Resources) -> Iterator[Coroutine[None, None, None]]:
    """What goes on beside the requests."""
    yield repeat(House(open_.keys, open_.db).keep)
    if open_.config.keys.reencrypt_background:
        yield repeat(background_reencryption(open_).sweep, pause=PAUSE_SECONDS)
