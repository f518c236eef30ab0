"""Serving: a listener over one application, and an end without lost requests."""

import asyncio
from datetime import timedelta

from aiohttp import web

from cypher.web.connection import Connection, NoAccessLog, Patience
from cypher.web.keys import DRAINING

#: Every request has a deadline far below this, but for what operators ask of whole tables. With what comes before and
#: after it, it stays below the 30 seconds that service managers wait before they kill.
DRAIN = timedelta(seconds=15)
#: What is left then for what is not finished: enough to send an answer that is made.
WRITE_SECONDS = 0.5


class WebServer:
    """A listener over one application."""

    def __init__(self, runner: web.AppRunner, listener: asyncio.Server, drain: timedelta) -> None:
        self._runner = runner
        self._drain_seconds = drain.total_seconds()
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
        shared: bool = False,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> "WebServer":
        """Listen on `host` and `port` (0: one that is free); raises OSError when the address is taken.

        With `shared` the kernel deals out connections among all processes of this user that listen there like this.
        """
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(app, access_log_class=NoAccessLog, shutdown_timeout=WRITE_SECONDS)
        await runner.setup()
        server = runner.server
        if server is None:
            raise RuntimeError("a runner that was set up has a server")

        def connect() -> Connection:
            return Connection(server, loop, patience)

        try:
            listener = await loop.create_server(connect, host, port, reuse_port=shared or None)
        except OSError:
            await runner.cleanup()
            raise
        return cls(runner, listener, drain)

    def announce_stop(self) -> None:
        """Answer `/health/ready` with 503 from now on, so that a balancer sends its requests elsewhere."""
        self._runner.app[DRAINING].announce()

    async def stop(self, hurried: asyncio.Event | None = None) -> None:
        """Accept no more connections, let the requests that run finish, close what is idle.

        Once `hurried` is set, or after the time to drain, requests that still run are broken off.
        """
        self.announce_stop()
        self._listener.close()
        # aiohttp, once told to stop, reads no more of a body that is on its way.
        finishing = asyncio.create_task(self._runner.app[DRAINING].finished())
        hurrying = asyncio.create_task((hurried or asyncio.Event()).wait())
        await asyncio.wait((finishing, hurrying), timeout=self._drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        finishing.cancel()
        hurrying.cancel()
        await self._runner.cleanup()
