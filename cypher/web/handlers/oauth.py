"""Tokens in the forms that other software already speaks: RFC 6749, RFC 7662, RFC 7009."""

from aiohttp import web

from cypher.errors import InvalidRequest, UnsupportedGrantType
from cypher.web.answers import answer, empty
from cypher.web.body import read_form
from cypher.web.keys import SERVICES
from cypher.web.schema import ActiveToken, InactiveToken, TokenForm, TokenOnlyForm, Tokens
from cypher.web.source import bearer_of, source_of

INTROSPECT = "introspect"


async def refresh(request: web.Request) -> web.Response:
    """POST /oauth/token."""
    form = await read_form(request, TokenForm)
    if form.grant_type != "refresh_token":
        raise UnsupportedGrantType
    if form.refresh_token is None:
        raise InvalidRequest
    fresh = await request.app[SERVICES].tokens.refresh(form.refresh_token, source_of(request))
    return answer(
        Tokens(access_token=fresh.access_token, expires_in=fresh.expires_in, refresh_token=fresh.refresh_token)
    )


async def introspect(request: web.Request) -> web.Response:
    """POST /oauth/introspect."""
    services = request.app[SERVICES]
    await services.service_tokens.authenticate(bearer_of(request), INTROSPECT)
    form = await read_form(request, TokenOnlyForm)
    claims = await services.tokens.introspect(form.token)
    if claims is None:
        return answer(InactiveToken())
    return answer(
        ActiveToken(sub=claims.sub, sid=claims.sid, jti=claims.jti, exp=claims.exp, aal=claims.aal, amr=claims.amr)
    )


async def revoke(request: web.Request) -> web.Response:
    """POST /oauth/revoke: 200 for every token, known or not (RFC 7009, section 2.2)."""
    form = await read_form(request, TokenOnlyForm)
    await request.app[SERVICES].tokens.revoke(form.token, source_of(request))
    return empty()
