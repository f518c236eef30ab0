"""One HTTP call: a time-out, a repeat where a repeat does no harm, and an error of its own for every failure.

It must not follow redirects (a bearer token would travel along) and knows nothing of sessions.
"""

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from cypher import __version__
from cypher.client.answers import Problem
from cypher.client.errors import (
    BY_CODE,
    CypherClientError,
    RateLimited,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from cypher.clock import Clock

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 2.0  # a caller waits for an answer, not for an outage
CONNECT_SECONDS = 2.0
PROXY_FAILURES = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request. `repeat_seconds`: for how long after its first sending a second sending does no harm."""

    method: str
    path: str
    query: str = ""
    body: msgspec.Struct | None = field(default=None, repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    bearer: str | None = field(default=None, repr=False)
    repeat_seconds: float = 0.0
    timeout_seconds: float | None = None


class Transport:
    """Sends calls to one Cypher."""

    def __init__(
        self,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None,
        clock: Clock,
        timeout_seconds: float,
        pauses: tuple[float, ...],
    ) -> None:
        self._base = URL(base_url)
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise ValueError("The base URL must look like https://host or http://host:port.")
        self._session = session
        self._owned: aiohttp.ClientSession | None = None
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._pauses = pauses

    async def open(self) -> None:
        """Make a connection pool of its own when none was handed in; cookies are neither kept nor sent."""
        if self._session is None:
            self._owned = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            self._session = self._owned

    async def close(self) -> None:
        """Close what `open` made; a session that was handed in stays open."""
        if self._owned is not None:
            await self._owned.close()
            self._owned = self._session = None

    async def fetch(self, call: Call, answer: type[T]) -> T:
        """Send `call` and read its answer as `answer`; raises the class of `errors` that fits."""
        return read(await self.send(call), answer)

    async def send(self, call: Call) -> bytes:
        """Send `call`, again after a pause where that is safe; answers the body of a 2xx."""
        started = self._clock.monotonic()
        for pause in self._pauses:
            try:
                return await self._attempt(call)
            except (Unreachable, Unavailable, UnexpectedAnswer) as error:
                wait = max(pause, min(error.retry_after or 0.0, LONGEST_PAUSE_SECONDS))
                if not self._may_repeat(call, error, self._clock.monotonic() - started + wait):
                    raise
            await asyncio.sleep(wait)
        return await self._attempt(call)

    def _may_repeat(self, call: Call, error: CypherClientError, elapsed: float) -> bool:
        if isinstance(error, Unreachable) and not error.sent:
            return elapsed <= self._timeout_seconds
        if isinstance(error, UnexpectedAnswer) and error.status not in PROXY_FAILURES:
            return False
        return elapsed < call.repeat_seconds

    async def _attempt(self, call: Call) -> bytes:
        if self._session is None:
            raise RuntimeError("Use the client as `async with CypherClient(...) as client:`.")
        url = self._base.joinpath(call.path.lstrip("/")).with_query(call.query or None)
        try:
            async with self._session.request(
                call.method,
                url,
                data=_content(call),
                headers=_headers(call),
                allow_redirects=False,
                timeout=self._timeout(call),
            ) as response:
                body = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable from error
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise error_of(response.status, body, response.headers.get("X-Request-Id"), _retry_after(response))
        return body

    def _timeout(self, call: Call) -> aiohttp.ClientTimeout:
        seconds = min(self._timeout_seconds, call.timeout_seconds or self._timeout_seconds)
        return aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_SECONDS))


def read(body: bytes, answer: type[T]) -> T:
    """Read the body of a 2xx as `answer`; raises UnexpectedAnswer."""
    try:
        return msgspec.json.decode(body, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer from error


def error_of(status: int, body: bytes, request_id: str | None, retry_after: float | None) -> CypherClientError:
    """Turn an answer that is no success into the error of its code (RFC 9457, and RFC 6749 section 5.2)."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = Problem()
    code = problem.code or problem.error
    # A proxy in front limits as well, and says so without a code.
    without_code = RateLimited if status == HTTPStatus.TOO_MANY_REQUESTS else UnexpectedAnswer
    cls = BY_CODE.get(code, CypherClientError) if code else without_code
    return cls(
        problem.title or problem.error_description,
        code=code,
        status=status,
        request_id=request_id,
        retry_after=retry_after,
        fields=problem.errors,
    )


def _headers(call: Call) -> dict[str, str]:
    headers = {"User-Agent": f"cypher-python/{__version__}", "Accept": "application/json"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.bearer is not None:
        headers["Authorization"] = f"Bearer {call.bearer}"
    return headers


def _content(call: Call) -> bytes | aiohttp.FormData | None:
    if call.body is not None:
        return msgspec.json.encode(call.body)
    return aiohttp.FormData(call.form) if call.form else None


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds from `Retry-After`; the form with a date is not one that Cypher sends."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
