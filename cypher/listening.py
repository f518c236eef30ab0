"""The two listeners of a service: everybody's, and the operators'."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from cypher.auth import Services
from cypher.config import Config
from cypher.errors import OperatorError
from cypher.maintenance.operations import Operations
from cypher.web.application import make_web_app
from cypher.web.operators.application import make_operators_app
from cypher.web.server import WebServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Where a running service answers."""

    public: WebServer
    operators: WebServer | None  #: None with ADMIN_PORT=off

    async def stop(self) -> None:
        """Stop both at once: neither is ready any more, and each finishes what is under way."""
        await asyncio.gather(*(server.stop() for server in (self.public, self.operators) if server))


async def listen(services: Services, operations: Operations, config: Config, port: int | None) -> Listeners:
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
