"""Tokens in the forms that other software already speaks: RFC 6749, RFC 7662, RFC 7009."""

from aiohttp import web
from msgspec import UNSET

from cypher.auth.service_tokens import Scope
from cypher.errors import InvalidGrant, OriginNotAllowed, UnsupportedGrantType
from cypher.web import refresh_cookie
from cypher.web.answers import answer, empty
from cypher.web.body import read_form
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.schema import ActiveToken, InactiveToken, TokenForm, TokenOnlyForm, Tokens
from cypher.web.source import bearer_of, source_of


@endpoint(
    reads=TokenForm,
    answers={200: Tokens},
    raises=(InvalidGrant, UnsupportedGrantType, OriginNotAllowed),
    takes_cookie=True,
    sets_cookie=(200, 400),
)
async def refresh(request: web.Request) -> web.Response:
    """POST /oauth/token: exchange a refresh token (RFC 6749, section 6).

    The same token again within seconds gives the same successor; later it is a theft, and the session ends. A token in
    the cookie is exchanged for one in the cookie, for pages of our own origin only.
    """
    form = await read_form(request, TokenForm)
    if form.grant_type != "refresh_token":
        raise UnsupportedGrantType
    token = refresh_cookie.shown_token(request, form.refresh_token)
    fresh = await request.app[SERVICES].tokens.refresh(token, source_of(request))
    in_cookie = form.refresh_token is None
    response = answer(
        Tokens(
            access_token=fresh.access_token,
            expires_in=fresh.expires_in,
            refresh_token=UNSET if in_cookie else fresh.refresh_token,
        )
    )
    if in_cookie:
        refresh_cookie.put(response, fresh.refresh_token)
    return response


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
