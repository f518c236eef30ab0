"""One running service: open, listen, say where, wait for the end, drain, close."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from aiohttp import web

from cypher.app import Resources, background_reencryption, build_services, resources
from cypher.auth import Services
from cypher.clock import Clock
from cypher.config import Config
from cypher.errors import OperatorError
from cypher.maintenance.background import PAUSE_SECONDS
from cypher.maintenance.housekeeping import House, repeat
from cypher.maintenance.operations import Operations
from cypher.operating import build_operations
from cypher.web.application import make_web_app
from cypher.web.operators.application import make_operators_app
from cypher.web.server import WebServer

logger = logging.getLogger("cypher")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Where a running service answers."""

    public: WebServer
    operators: WebServer | None  #: None with ADMIN_PORT=off

    async def stop(self) -> None:
        """Stop both at once: neither is ready any more, and each finishes what is under way."""
        await asyncio.gather(*(server.stop() for server in (self.public, self.operators) if server))


async def serve(config: Config, clock: Clock, announce: str) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is printed when requests are answered."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config, clock) as listeners:
        print(announce.replace("{url}", f"http://{config.http.host}:{listeners.public.port}"), flush=True)
        await stop.wait()
        logger.info("stopping: no longer ready, finishing what is under way")


@asynccontextmanager
async def running(config: Config, clock: Clock, *, port: int | None = None) -> AsyncIterator[Listeners]:
    """Run a service inside the block; `port` 0 takes a free one, for operators as well."""
    async with AsyncExitStack() as closing:
        open_ = await closing.enter_async_context(resources(config, clock, may_create_keys=True))
        operations = build_operations(open_)
        closing.push_async_callback(operations.stop)
        listeners = await _listen_on_both(build_services(open_), operations, config, port)
        closing.push_async_callback(listeners.stop)
        await _warn(open_)
        tasks = [asyncio.create_task(work) for work in _maintenance(open_)]
        try:
            yield listeners
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _listen_on_both(services: Services, operations: Operations, config: Config, port: int | None) -> Listeners:
    """Listen for operators first: whoever is not to serve has not answered anybody yet."""
    operators = None
    if config.operators.port is not None:
        app = make_operators_app(services, operations, config)
        chosen = config.operators.port if port is None else port
        operators = await _listen(app, config.operators.host, chosen, ("ADMIN_PORT", "ADMIN_HOST"))
    chosen = config.http.port if port is None else port
    try:
        public = await _listen(make_web_app(services, config), config.http.host, chosen, ("PORT", "HOST"))
    except OperatorError:
        if operators:
            await operators.stop()
        raise
    return Listeners(public=public, operators=operators)


async def _listen(app: web.Application, host: str, port: int, settings: tuple[str, str]) -> WebServer:
    """Listen; raise OperatorError, which names the settings of port and host, when that cannot be."""
    try:
        return await WebServer.start(app, host, port)
    except OSError as exc:
        raise OperatorError(
            f"{host}:{port} cannot be listened on. Is it taken? Look at {settings[0]}, and at {settings[1]}."
        ) from exc


async def _warn(open_: Resources) -> None:
    """Say what is worth a look before anything has gone wrong."""
    config = open_.config
    if config.keys.store == "postgres":
        logger.warning(
            "The keys are in PostgreSQL: every dump of this database holds them, wrapped by the master password "
            "alone. Keep it apart from the dumps."
        )
    if config.operators.port is not None and not _is_loopback(config.operators.host):
        logger.warning(
            "Other machines reach the operators' listener (ADMIN_HOST), and service tokens cross the wire as they "
            "are: put TLS in front of it, and a firewall."
        )
    if not await open_.redis.ping():
        logger.warning("Redis does not answer: logins are refused until it does. Look at the REDIS_ settings.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _maintenance(open_: Resources) -> Iterator[Coroutine[None, None, None]]:
    """What goes on beside the requests."""
    yield repeat(House(open_.keys, open_.db).keep)
    if open_.config.keys.reencrypt_background:
        yield repeat(background_reencryption(open_).sweep, pause=PAUSE_SECONDS)
