"""THE route table: every route of the public listener, its handler and what it asks of the caller.

What a route reads and answers stands at its handler; `/openapi.json` is made of both.
"""

from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from cypher.web.endpoint import Endpoint
from cypher.web.handlers import configuration, description, health, login, oauth, registration, sessions


class Needs(Enum):
    """What a caller has to bring. The handler asks for it in its first line; a test holds every route to this."""

    NOTHING = "nothing"
    ACCESS_TOKEN = "access token"  # noqa: S105
    INTROSPECT = "service token with the scope introspect"


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Endpoint
    needs: Needs


ROUTES = (
    Route("GET", "/v1/config", configuration.show, Needs.NOTHING),
    Route("POST", "/v1/registration/start", registration.start, Needs.NOTHING),
    Route("POST", "/v1/registration/finish", registration.finish, Needs.NOTHING),
    Route("POST", "/v1/login/start", login.start, Needs.NOTHING),
    Route("POST", "/v1/login/finish", login.finish, Needs.NOTHING),
    Route("GET", "/v1/session", sessions.show, Needs.ACCESS_TOKEN),
    Route("DELETE", "/v1/session", sessions.end_current, Needs.ACCESS_TOKEN),
    Route("GET", "/v1/sessions", sessions.list_all, Needs.ACCESS_TOKEN),
    Route("DELETE", "/v1/sessions", sessions.end_many, Needs.ACCESS_TOKEN),
    Route("DELETE", "/v1/sessions/{id}", sessions.end, Needs.ACCESS_TOKEN),
    Route("POST", "/oauth/token", oauth.refresh, Needs.NOTHING),
    Route("POST", "/oauth/introspect", oauth.introspect, Needs.INTROSPECT),
    Route("POST", "/oauth/revoke", oauth.revoke, Needs.NOTHING),
    Route("GET", "/.well-known/jwks.json", configuration.jwks, Needs.NOTHING),
    Route("GET", "/openapi.json", description.document, Needs.NOTHING),
    Route("GET", "/docs", description.page, Needs.NOTHING),
    Route("GET", "/health/live", health.live, Needs.NOTHING),
    Route("GET", "/health/ready", health.ready, Needs.NOTHING),
)


def route_definitions() -> list[web.RouteDef]:
    """Return the table as aiohttp wants it. HEAD goes with GET (RFC 9110, section 9.3.2)."""
    return [
        web.get(route.path, route.handler.handle)
        if route.method == "GET"
        else web.route(route.method, route.path, route.handler.handle)
        for route in ROUTES
    ]
