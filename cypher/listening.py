"""The two listeners of a service: everybody's, and the operators'."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from cypher.auth.use_cases import Services
from cypher.config import Config
from cypher.errors import OperatorError
from cypher.maintenance.operations import Operations
from cypher.web.application import make_web_app
from cypher.web.operators.application import make_operators_app
from cypher.web.server import WebServer
from cypher.web.waiting import make_waiting_app

MakeApp = Callable[[], web.Application]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Where a running service answers."""

    public: WebServer
    operators: WebServer | None  #: None with ADMIN_PORT=off

    def announce_stop(self) -> None:
        """Be ready no more, and go on answering."""
        for server in self._servers():
            server.announce_stop()

    async def stop(self, hurried: asyncio.Event | None = None) -> None:
        """Stop both at once: each finishes what is under way, or breaks it off once `hurried` is set."""
        await asyncio.gather(*(server.stop(hurried) for server in self._servers()))

    def _servers(self) -> list[WebServer]:
        return [server for server in (self.public, self.operators) if server]


async def listen(services: Services, operations: Operations, config: Config, port: int | None) -> Listeners:
    """Serve; `port` None takes those of the settings."""
    operators = partial(make_operators_app, services, operations, config)
    return await _listen_twice(partial(make_web_app, services, config), operators, config, port)


async def listen_waiting(config: Config, port: int | None) -> Listeners:
    """Answer probes on the same addresses, before there is anything to serve with."""
    waiting = partial(make_waiting_app, config)
    return await _listen_twice(waiting, waiting, config, port)


async def _listen_twice(public: MakeApp, operators: MakeApp, config: Config, port: int | None) -> Listeners:
    """Listen for operators first: whoever is not to serve has not answered anybody yet."""
    for_operators = None
    if config.operators.port is not None:
        chosen = config.operators.port if port is None else port
        for_operators = await _listen(operators(), config.operators.host, chosen, ("ADMIN_PORT", "ADMIN_HOST"))
    chosen = config.http.port if port is None else port
    try:
        for_everybody = await _listen(
            public(), config.http.host, chosen, ("PORT", "HOST"), shared=config.http.is_shared
        )
    except OperatorError:
        if for_operators:
            await for_operators.stop()
        raise
    return Listeners(public=for_everybody, operators=for_operators)


async def _listen(
    app: web.Application, host: str, port: int, settings: tuple[str, str], *, shared: bool = False
) -> WebServer:
    """Listen; raise OperatorError, which names the settings of port and host, when that cannot be."""
    try:
        return await WebServer.start(app, host, port, shared=shared)
    except OSError as exc:
        raise _taken(host, port, settings) from exc


def require_free(config: Config) -> None:
    """Raise OperatorError when somebody listens on the public port: one that is shared would be shared with them."""
    host, port = config.http.host, config.http.port
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as exc:
        raise _taken(host, port, ("PORT", "HOST")) from exc


def _taken(host: str, port: int, settings: tuple[str, str]) -> OperatorError:
    return OperatorError(
        f"{host}:{port} cannot be listened on. Is it taken? Look at {settings[0]}, and at {settings[1]}."
    )
