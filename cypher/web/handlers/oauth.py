"""Tokens in the forms that other software already speaks: RFC 6749, RFC 7662, RFC 7009."""

from aiohttp import web

from cypher.auth.service_tokens import Scope
from cypher.errors import InvalidGrant, InvalidRequest, UnsupportedGrantType
from cypher.web.answers import answer, empty
from cypher.web.body import read_form
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.schema import ActiveToken, InactiveToken, TokenForm, TokenOnlyForm, Tokens
from cypher.web.source import bearer_of, source_of


@endpoint(reads=TokenForm, answers={200: Tokens}, raises=(InvalidGrant, UnsupportedGrantType))
async def refresh(request: web.Request) -> web.Response:
    """POST /oauth/token: exchange a refresh token (RFC 6749, section 6).

    The same token again within seconds gives the same successor; later it is a theft, and the session ends.
    """
    form = await read_form(request, TokenForm)
    if form.grant_type != "refresh_token":
        raise UnsupportedGrantType
    if form.refresh_token is None:
        raise InvalidRequest
    fresh = await request.app[SERVICES].tokens.refresh(form.refresh_token, source_of(request))
    return answer(
        Tokens(access_token=fresh.access_token, expires_in=fresh.expires_in, refresh_token=fresh.refresh_token)
    )


@endpoint(reads=TokenOnlyForm, answers={200: ActiveToken | InactiveToken})
async def introspect(request: web.Request) -> web.Response:
    """POST /oauth/introspect: whether an access token holds right now (RFC 7662)."""
    services = request.app[SERVICES]
    await services.service_tokens.authenticate(bearer_of(request), Scope.INTROSPECT)
    form = await read_form(request, TokenOnlyForm)
    claims = await services.tokens.introspect(form.token)
    if claims is None:
        return answer(InactiveToken())
    return answer(
        ActiveToken(sub=claims.sub, sid=claims.sid, jti=claims.jti, exp=claims.exp, aal=claims.aal, amr=claims.amr)
    )


@endpoint(reads=TokenOnlyForm, answers={200: None})
async def revoke(request: web.Request) -> web.Response:
    """POST /oauth/revoke: end a token, known or not (RFC 7009, section 2.2).

    A refresh token ends its session, an access token ends alone.
    """
    form = await read_form(request, TokenOnlyForm)
    await request.app[SERVICES].tokens.revoke(form.token, source_of(request))
    return empty()
