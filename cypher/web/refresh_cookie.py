"""The refresh token as a cookie: for pages of our own origin, where no script can read it.

A browser sends it along whoever makes it ask. So a request that uses it must name our own origin, which no page of
another one can; and there must be one token in it, since a neighbouring host can plant a second cookie of this name.
"""

from aiohttp import hdrs, web

from cypher.errors import InvalidRequest, OriginNotAllowed
from cypher.web.keys import HTTP

NAME = "__Secure-cypher_refresh"
PATH = "/oauth/token"
#: Whether the token of a request came in the cookie: then what follows it goes back there.
USED: web.RequestKey[bool] = web.RequestKey("refresh_cookie_used", bool)


def shown_token(request: web.Request, in_body: str | None) -> str:
    """Return the one refresh token of a request, from its body or its cookie.

    Raises InvalidRequest for none and for more than one, wherever they stand, and OriginNotAllowed for a cookie
    without `Origin`, or with another than ours.
    """
    cookies = _sent(request)
    if len(cookies) + (in_body is not None) != 1:
        raise InvalidRequest
    if in_body is not None:
        return in_body
    if request.headers.getall(hdrs.ORIGIN, ()) != [request.app[HTTP].public_origin]:
        raise OriginNotAllowed
    request[USED] = True
    return cookies[0]


def may_be_given(request: web.Request) -> bool:
    """Tell whether an answer may set the cookie; pages of other origins keep their tokens themselves."""
    return request.headers.getall(hdrs.ORIGIN, [request.app[HTTP].public_origin]) == [request.app[HTTP].public_origin]


def put(response: web.StreamResponse, token: str) -> None:
    """Give the browser a token. It lives as long as the browser runs, and never longer than the session."""
    response.set_cookie(NAME, token, path=PATH, secure=True, httponly=True, samesite="Strict")


def clear(response: web.StreamResponse) -> None:
    """Let the browser forget the token."""
    response.del_cookie(NAME, path=PATH, secure=True, httponly=True, samesite="Strict")


def clear_if_used(request: web.Request, response: web.StreamResponse) -> None:
    """Let the browser forget a token that was refused; without having shown one, no page can make it forget another."""
    if request.get(USED, False):
        clear(response)


def _sent(request: web.Request) -> list[str]:
    """Return each cookie of the name: `request.cookies` would keep one of two."""
    pairs = (pair.partition("=") for header in request.headers.getall(hdrs.COOKIE, ()) for pair in header.split(";"))
    return [value.strip() for name, _, value in pairs if name.strip() == NAME]
