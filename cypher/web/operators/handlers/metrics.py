"""What the service counts of itself, for Prometheus."""

from aiohttp import hdrs, web

from cypher.metrics import CONTENT_TYPE
from cypher.web.answers import HEADERS
from cypher.web.endpoint import Media, endpoint
from cypher.web.keys import OPERATIONS


@endpoint(answers={200: Media("text/plain")})
async def show(request: web.Request) -> web.Response:
    """GET /metrics: everything that is counted, of all processes that share this port, for Prometheus.

    Asked from the same machine, and not through a proxy, it needs no token. Nothing in it is about a person.
    """
    body = await request.app[OPERATIONS].measuring.exposition()
    return web.Response(body=body, headers={**HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE})
