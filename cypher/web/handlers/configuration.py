"""What a client or another service must know before it begins."""

from aiohttp import web

from cypher.web.answers import answer
from cypher.web.encoding import to_base64url
from cypher.web.endpoint import endpoint
from cypher.web.keys import REGISTRATION, SERVICES
from cypher.web.schema import Configuration, JwkSet, OpaqueParameters


@endpoint(answers={200: Configuration})
async def show(request: web.Request) -> web.Response:
    """GET /v1/config: what a client must know before a registration or a login."""
    public_key = to_base64url(request.app[SERVICES].opaque.public_key())
    opaque = OpaqueParameters(server_public_key=public_key)
    return answer(Configuration(opaque=opaque, registration=request.app[REGISTRATION]))


@endpoint(answers={200: JwkSet})
async def jwks(request: web.Request) -> web.Response:
    """GET /.well-known/jwks.json: the public keys of access tokens (RFC 7517)."""
    return answer(JwkSet(keys=request.app[SERVICES].tokens.jwks()))
