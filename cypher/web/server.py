"""Serving: a listener over one application, and an end without lost requests."""

import asyncio
from datetime import timedelta

from aiohttp import web

from cypher.web.connection import Connection, NoAccessLog, Patience
from cypher.web.keys import DRAINING

#: Every request has a deadline far below this.
DRAIN = timedelta(seconds=30)


class WebServer:
    """A listener over one application."""

    def __init__(self, runner: web.AppRunner, listener: asyncio.Server) -> None:
        self._runner = runner
        self._listener = listener
        self.port: int = listener.sockets[0].getsockname()[1]

    @classmethod
    async def start(
        cls,
        app: web.Application,
        host: str,
        port: int,
        *,
        drain: timedelta = DRAIN,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> "WebServer":
        """Listen on `host` and `port` (0: one that is free); raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(app, access_log_class=NoAccessLog, shutdown_timeout=drain.total_seconds())
        await runner.setup()
        server = runner.server
        if server is None:
            raise RuntimeError("a runner that was set up has a server")

        def connect() -> Connection:
            return Connection(server, loop, patience)

        try:
            listener = await loop.create_server(connect, host, port)
        except OSError:
            await runner.cleanup()
            raise
        return cls(runner, listener)

    def announce_stop(self) -> None:
        """Answer `/health/ready` with 503 from now on, so that a balancer sends its requests elsewhere."""
        self._runner.app[DRAINING].set()

    async def stop(self) -> None:
        """Accept no more connections, let the requests that run finish, close what is idle."""
        self.announce_stop()
        self._listener.close()
        await self._runner.cleanup()
