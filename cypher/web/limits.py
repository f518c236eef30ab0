"""Holds every route to the limit that the route table gives it."""

from aiohttp import web

from cypher.config.limits import Category
from cypher.errors import AccessTokenEnded, SessionExpired, Unauthenticated
from cypher.web.endpoint import Handler
from cypher.web.keys import SERVICES
from cypher.web.routes import Counted, Exempt, Route
from cypher.web.source import source_of


async def limited(request: web.Request, handler: Handler, route: Route | None) -> web.StreamResponse:
    """Let a request through to its handler, or raise RateLimited.

    What is not in the table (404, 405) reaches no use case and is not counted.
    """
    rule = route.limit if route else None
    if rule is Exempt.GOOD_TOKEN:
        return await _with_good_token(request, handler)
    if isinstance(rule, Counted) and isinstance(rule.value, Category):
        await request.app[SERVICES].rate_limits.admit_address(rule.value, source_of(request))
    return await handler(request)


async def _with_good_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (SessionExpired, AccessTokenEnded):
        # Ours once: a backend with many people has many of these, and whoever holds one did not guess it.
        raise
    except Unauthenticated:
        await request.app[SERVICES].rate_limits.admit_bad_token(source_of(request))
        raise
