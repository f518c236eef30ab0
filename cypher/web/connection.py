"""One client's connection: it answers everything as the contract says, and waits for nobody for ever."""

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from cypher.errors import BadRequest, CypherError, Unavailable
from cypher.web.errors import answer_error, translated
from cypher.web.log import NO_ROUTE, log_answer, log_failure, logger
from cypher.web.source import REQUEST_ID_HEADER, request_id_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many seconds a client may take; for its body see `body.py`.

    A connection costs an attacker nothing and the service a descriptor: none may be held by sending or reading slowly.
    """

    #: Of a request's head, from its first byte; and from the connection on, for the first one.
    head: float = 10.0
    #: Between two requests. Longer than a proxy in front keeps its own connections, so that it is never the proxy that
    #: meets a closed one.
    idle: float = 75.0
    #: How long an unread body is still swallowed after its answer, so that the client can read the answer.
    linger: float = 2.0
    #: Without taking any of what is to be sent to it.
    reading: float = 30.0


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
    It also waits as long as an idle connection may last for a head that comes byte by byte, and without end for a
    client that does not read; here both are cut off.
    """

    __slots__ = ("_head_timer", "_patience", "_reader_timer")

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, patience: Patience) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log_class=NoAccessLog,
            auto_decompress=False,
            keepalive_timeout=patience.idle,
            lingering_time=patience.linger,
        )
        self._patience = patience
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_head()
        self._forget_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        heads = self._request_count
        super().data_received(data)
        if self._request_count > heads:
            self._forget_head()
        elif self._head_timer is None and self._is_between_requests():
            self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._reader_timer = self._loop.call_later(self._patience.reading, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_reader()

    async def start(self) -> None:
        """Answer the requests of this connection; then let go of it, whether its client reads or not."""
        transport = self.transport
        try:
            await super().start()
        finally:
            # What is still to be sent keeps a closed connection open.
            if transport is not None and transport.get_write_buffer_size():
                self._loop.call_later(self._patience.reading, transport.abort)

    def _is_between_requests(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._patience.head, self._give_up)

    def _give_up(self) -> None:
        self._head_timer = None
        if self._is_between_requests():
            self.force_close()

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

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
