"""What a client or another service must know before it begins."""

from aiohttp import web

from cypher.web.answers import answer
from cypher.web.encoding import to_base64url
from cypher.web.keys import REGISTRATION, SERVICES
from cypher.web.schema import Configuration, JwkSet, OpaqueParameters


async def show(request: web.Request) -> web.Response:
    """GET /v1/config."""
    public_key = to_base64url(request.app[SERVICES].opaque.public_key())
    opaque = OpaqueParameters(server_public_key=public_key)
    return answer(Configuration(opaque=opaque, registration=request.app[REGISTRATION]))


async def jwks(request: web.Request) -> web.Response:
    """GET /.well-known/jwks.json."""
    return answer(JwkSet(keys=request.app[SERVICES].tokens.jwks()))
