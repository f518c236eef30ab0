"""What this service answers, in a form for programs and in one for people."""

from aiohttp import web

from cypher.web.endpoint import Media, endpoint
from cypher.web.keys import DOCUMENT, PAGE


@endpoint(answers={200: Media("application/json"), 304: None})
async def document(request: web.Request) -> web.Response:
    """GET /openapi.json: this description as an OpenAPI 3.1 document."""
    return request.app[DOCUMENT].answer(request)


@endpoint(answers={200: Media("text/html"), 304: None})
async def page(request: web.Request) -> web.Response:
    """GET /docs: this description as a page to read."""
    return request.app[PAGE].answer(request)
