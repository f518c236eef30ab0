"""Asks who calls before any handler runs: what the route table asks for is brought, or nothing happens.

Only a bearer token opens anything, so no page in somebody's browser can use what the browser would send by itself;
one that holds a token all the same gives itself away by its `Origin`.
"""

from aiohttp import hdrs, web

from cypher.errors import OriginNotAllowed
from cypher.web.endpoint import Handler
from cypher.web.keys import OPERATOR, SERVICES
from cypher.web.log import route_of
from cypher.web.routes import SCOPES, TABLE, Needs
from cypher.web.source import bearer_of, is_on_this_machine


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its handler; raises Unauthenticated, InsufficientScope or OriginNotAllowed."""
    route = request.app[TABLE].get(route_of(request))
    if route is not None and not (
        route.needs is Needs.NOTHING or (route.needs is Needs.SEE_METRICS and is_on_this_machine(request))
    ):
        if hdrs.ORIGIN in request.headers:
            raise OriginNotAllowed
        token = await request.app[SERVICES].service_tokens.authenticate(bearer_of(request), *SCOPES[route.needs])
        request[OPERATOR] = token.id
    return await handler(request)
