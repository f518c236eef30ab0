"""Which pages of other origins may call from a browser: those of `ALLOWED_ORIGINS` (the Fetch standard, section 3.3).

No answer allows credentials: a cookie never crosses origins. Nothing here protects the service from a caller that
is not a browser; tokens do that.
"""

from aiohttp import hdrs, web

from cypher.errors import NotFound, OriginNotAllowed
from cypher.web.answers import no_content
from cypher.web.keys import HTTP
from cypher.web.source import REQUEST_ID_HEADER

#: What a page may read of an answer, beside its body.
READABLE = ", ".join((REQUEST_ID_HEADER, hdrs.RETRY_AFTER, "RateLimit", "RateLimit-Policy", hdrs.WWW_AUTHENTICATE))
#: What a page may send, beside what any form can.
SENDABLE = ", ".join((hdrs.AUTHORIZATION, hdrs.CONTENT_TYPE, REQUEST_ID_HEADER))
#: How long a browser may remember a preflight: short, because an origin that is taken off the list keeps it.
REMEMBERED_SECONDS = "600"


def is_preflight(request: web.Request) -> bool:
    """Tell whether a browser asks, on behalf of a page of another origin, what it may send."""
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def answer_preflight(request: web.Request) -> web.Response:
    """Answer with the methods that the route table has for this path; raise OriginNotAllowed or NotFound."""
    if _allowed_origin(request) is None:
        raise OriginNotAllowed
    refused = request.match_info.http_exception
    if not isinstance(refused, web.HTTPMethodNotAllowed):  # no route has this path
        raise NotFound
    response = no_content()
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ", ".join(sorted(refused.allowed_methods))
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = SENDABLE
    response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = REMEMBERED_SECONDS
    return response


def share(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page that asked read this answer, whatever it says, when its origin is on the list."""
    if not request.app[HTTP].allowed_origins:
        return
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    origin = _allowed_origin(request)
    if origin is not None:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = READABLE


def _allowed_origin(request: web.Request) -> str | None:
    sent = request.headers.getall(hdrs.ORIGIN, ())
    return sent[0] if len(sent) == 1 and sent[0] in request.app[HTTP].allowed_origins else None
