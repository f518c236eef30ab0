"""The one middleware: request id, preflight, deadline, limit, errors to answers, headers, the log's line.

One and not five: each costs every request a coroutine, and their order would be one more thing to get right.
"""

import asyncio

from aiohttp import hdrs, web

from cypher.errors import CypherError, FieldDoesNotOpen, InvalidGrant, Unavailable
from cypher.web import refresh_cookie
from cypher.web.cors import answer_preflight, is_preflight, share
from cypher.web.endpoint import Handler
from cypher.web.errors import answer_error, translated
from cypher.web.head import require_sound_head, wants_another_protocol
from cypher.web.keys import DRAINING, METRICS, REQUEST_ID, SERVICES
from cypher.web.limits import limited
from cypher.web.log import log_answer, log_failure, route_of
from cypher.web.routes import TABLE, Route
from cypher.web.source import REQUEST_ID_HEADER, request_id_of, source_of

#: Every request ends within five seconds, whatever PostgreSQL and Redis do, unless its route says otherwise: what is
#: under way at this moment is put away in the rest.
DEADLINE_SECONDS = 4.7


@web.middleware
async def frame(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request in every case."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    request_id = request[REQUEST_ID] = request_id_of(request)
    draining = request.app[DRAINING]
    draining.begin()
    try:
        response, code = await _answered(request, handler, request_id)
    finally:
        draining.end()
    response.headers[REQUEST_ID_HEADER] = request_id
    share(request, response)
    last = draining.announced or wants_another_protocol(request)
    if last or (request.body_exists and not request.content.at_eof()):
        # The next request is for somebody else; or nobody has read the body, or it broke off: what follows on this
        # connection cannot be trusted to be a request.
        response.force_close()
    route, seconds = route_of(request), loop.time() - started
    request.app[METRICS].count_request(*route, response.status, seconds)
    log_answer(route, response.status, code=code, seconds=seconds, request_id=request_id)
    return response


async def _answered(request: web.Request, handler: Handler, request_id: str) -> tuple[web.StreamResponse, str | None]:
    try:
        require_sound_head(request)
        if is_preflight(request):
            return answer_preflight(request), None
        route = request.app[TABLE].get(route_of(request))
        async with asyncio.timeout(_deadline(route)):
            return await limited(request, handler, route), None
    except CypherError as exc:
        if isinstance(exc, FieldDoesNotOpen):
            request.app[SERVICES].incidents.report_unopened(exc, source_of(request))
        error, allow = exc, None
    except web.HTTPException as exc:
        error, allow = translated(exc), exc.headers.get(hdrs.ALLOW)
    except TimeoutError:
        error, allow = Unavailable(), None
    except Exception as exc:
        # The last net: a fault of ours must reach the client as an answer and the operator as a line.
        log_failure(exc, request_id)
        error, allow = Unavailable(), None
    response = answer_error(error, path=request.path, request_id=request_id)
    if allow is not None:
        response.headers[hdrs.ALLOW] = allow
    if isinstance(error, InvalidGrant):
        refresh_cookie.clear_if_used(request, response)
    return response, error.code


def _deadline(route: Route | None) -> float:
    return DEADLINE_SECONDS if route is None or route.deadline is None else route.deadline
