"""Serving: connections that answer everything as the contract says, a listener, an end without lost requests."""

import asyncio
from datetime import timedelta

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from cypher.errors import BadRequest, CypherError, Unavailable
from cypher.web.errors import answer_error, translated
from cypher.web.keys import DRAINING
from cypher.web.log import NO_ROUTE, log_answer, log_failure, logger
from cypher.web.source import REQUEST_ID_HEADER, request_id_of

#: Longer than a proxy in front keeps its own, so that it is never the proxy that meets a closed connection. A
#: connection that never sends a whole request ends after the same time.
KEEPALIVE_SECONDS = 75.0
#: How long an unread body is still swallowed after its answer, so that the client can read the answer.
LINGER_SECONDS = 2.0
#: Every request has a deadline far below this, but for what operators ask of whole tables. With what comes before and
#: after it, it stays below the 30 seconds that service managers wait before they kill.
DRAIN = timedelta(seconds=15)
#: What is left then for what is not finished: enough to send an answer that is made.
WRITE_SECONDS = 0.5


class NoAccessLog(AbstractAccessLogger):
    """aiohttp's access log is off: it writes paths and headers as they were sent."""

    @property
    def enabled(self) -> bool:
        return False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        return


class Connection(web.RequestHandler):
    """One client's connection.

    aiohttp answers by itself, before any middleware, what is not HTTP and what it refuses while it looks for a
    route. Its texts quote the bytes that were sent; here they become answers and log lines of our own.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP, or an error that no middleware saw, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        # aiohttp also stumbles over an `Expect` that is not UTF-8, while it writes the text of its refusal.
        is_ours = status >= 500 and not isinstance(exc, UnicodeError)
        error: CypherError = Unavailable() if is_ours else BadRequest()
        response = self._say(request, error)
        if is_ours and exc is not None:
            log_failure(exc, response.headers[REQUEST_ID_HEADER])
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one of aiohttp's own (an unknown `Expect`, which it would quote) is replaced."""
        if isinstance(resp, web.HTTPException):
            resp = self._say(request, translated(resp))
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: object, **kw: object) -> None:
        """Log that something failed below the handlers, without the text of the exception."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            log_failure(error, "-")
        else:
            logger.error("a connection failed")

    def _say(self, request: web.BaseRequest, error: CypherError) -> web.Response:
        request_id = request_id_of(request)
        response = answer_error(error, path=request.path, request_id=request_id)
        response.headers[REQUEST_ID_HEADER] = request_id
        log_answer(NO_ROUTE, response.status, code=error.code, seconds=0, request_id=request_id)
        return response


class WebServer:
    """A listener over one application."""

    def __init__(self, runner: web.AppRunner, listener: asyncio.Server, drain: timedelta) -> None:
        self._runner = runner
        self._drain_seconds = drain.total_seconds()
        self._listener = listener
        self.port: int = listener.sockets[0].getsockname()[1]

    @classmethod
    async def start(
        cls, app: web.Application, host: str, port: int, *, drain: timedelta = DRAIN, shared: bool = False
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
            return Connection(
                server,
                loop=loop,
                access_log_class=NoAccessLog,
                auto_decompress=False,
                keepalive_timeout=KEEPALIVE_SECONDS,
                lingering_time=LINGER_SECONDS,
            )

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
