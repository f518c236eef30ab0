"""THE route table: every route of the public listener, its handler, what it asks for, how often it answers.

What a route reads and answers stands at its handler; `/openapi.json` is made of both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from cypher.auth.service_tokens import Scope
from cypher.config.limits import Category
from cypher.web.endpoint import Endpoint
from cypher.web.handlers import (
    account,
    activity,
    configuration,
    description,
    devices,
    factors,
    health,
    login,
    oauth,
    password,
    reauthentication,
    recovery,
    registration,
    sessions,
)


class Needs(Enum):
    """What a caller has to bring. The handler asks for it in its first line; a test holds every route to this.

    Whether a proof is fresh is asked in the transaction that acts on it, by the use case.
    """

    NOTHING = "nothing"
    ACCESS_TOKEN = "access token"  # noqa: S105
    FRESH = "access token of a session whose owner was proven lately"
    INTROSPECT = "service token with the scope introspect"
    #: On the operators' listener `operators/guard.py` asks, before the handler.
    SEE_PEOPLE = "service token with the scope viewer or operator"
    SEE_KEYS = "service token with the scope viewer or key_custodian"
    SEE_METRICS = "service token with the scope viewer, but on the same machine none"
    OPERATOR = "service token with the scope operator"
    AUDITOR = "service token with the scope auditor"
    KEY_CUSTODIAN = "service token with the scope key_custodian"


#: Of service tokens, any of which opens a route: whoever may act on something may see it.
SCOPES: dict[Needs, tuple[Scope, ...]] = {
    Needs.INTROSPECT: (Scope.INTROSPECT,),
    Needs.SEE_PEOPLE: (Scope.VIEWER, Scope.OPERATOR),
    Needs.SEE_METRICS: (Scope.VIEWER,),
    Needs.SEE_KEYS: (Scope.VIEWER, Scope.KEY_CUSTODIAN),
    Needs.OPERATOR: (Scope.OPERATOR,),
    Needs.AUDITOR: (Scope.AUDITOR,),
    Needs.KEY_CUSTODIAN: (Scope.KEY_CUSTODIAN,),
}


class Counted(Enum):
    """How often an address may call a route."""

    DEFAULT = Category.DEFAULT_ADDRESS
    REGISTRATION = Category.REGISTRATION_ADDRESS  #: whatever tells which names are taken
    REFRESH = Category.REFRESH_ADDRESS
    RECOVERY = Category.RECOVERY_ADDRESS
    BY_LOGIN = "counted by the use case, which knows the name: auth/login_limits.py"


class Exempt(Enum):
    """Why a route has no limit."""

    GOOD_TOKEN = "backends call from one address; only tokens that were never ours are counted"  # noqa: S105
    PROBE = "an orchestrator that gets no answer restarts the service"
    PUBLIC_KEY = "every verifier behind one address needs it, and it costs nothing"


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Endpoint
    needs: Needs
    limit: Counted | Exempt
    deadline: float | None = None  #: seconds; None: that of every request


#: The table of an application, by method and path as requests name them.
TABLE: web.AppKey[Mapping[tuple[str, str], Route]] = web.AppKey("table")

ROUTES = (
    Route("GET", "/v1/config", configuration.show, Needs.NOTHING, Counted.DEFAULT),
    Route("POST", "/v1/registration/start", registration.start, Needs.NOTHING, Counted.REGISTRATION),
    Route("POST", "/v1/registration/finish", registration.finish, Needs.NOTHING, Counted.DEFAULT),
    Route("POST", "/v1/login/start", login.start, Needs.NOTHING, Counted.BY_LOGIN),
    Route("POST", "/v1/login/finish", login.finish, Needs.NOTHING, Counted.DEFAULT),
    Route("POST", "/v1/login/mfa", login.mfa, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/v1/session", sessions.show, Needs.ACCESS_TOKEN, Exempt.GOOD_TOKEN),
    Route("DELETE", "/v1/session", sessions.end_current, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("GET", "/v1/sessions", sessions.list_all, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("DELETE", "/v1/sessions", sessions.end_many, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("DELETE", "/v1/sessions/{id}", sessions.end, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("POST", "/v1/reauthentication/start", reauthentication.start, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("POST", "/v1/reauthentication/finish", reauthentication.finish, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("GET", "/v1/factors", factors.show, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("POST", "/v1/factors/totp", factors.enrol_totp, Needs.FRESH, Counted.DEFAULT),
    Route("POST", "/v1/factors/totp/confirm", factors.confirm_totp, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("DELETE", "/v1/factors/totp", factors.remove_totp, Needs.FRESH, Counted.DEFAULT),
    Route("POST", "/v1/recovery-codes", factors.renew_recovery_codes, Needs.FRESH, Counted.DEFAULT),
    Route("POST", "/v1/password/start", password.start, Needs.FRESH, Counted.DEFAULT),
    Route("POST", "/v1/password/finish", password.finish, Needs.FRESH, Counted.DEFAULT),
    Route("GET", "/v1/account", account.show, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("PATCH", "/v1/account", account.change, Needs.FRESH, Counted.REGISTRATION),
    Route("DELETE", "/v1/account", account.delete, Needs.FRESH, Counted.DEFAULT),
    Route("GET", "/v1/account/activity", activity.list_page, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("GET", "/v1/account/export", account.export, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("POST", "/v1/recovery/request", recovery.ask, Needs.NOTHING, Counted.RECOVERY),
    Route("POST", "/v1/recovery/start", recovery.start, Needs.NOTHING, Counted.DEFAULT),
    Route("POST", "/v1/recovery/finish", recovery.finish, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/v1/devices", devices.list_all, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("PATCH", "/v1/devices/{id}", devices.change, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("DELETE", "/v1/devices/{id}", devices.revoke, Needs.ACCESS_TOKEN, Counted.DEFAULT),
    Route("POST", "/oauth/token", oauth.refresh, Needs.NOTHING, Counted.REFRESH),
    Route("POST", "/oauth/introspect", oauth.introspect, Needs.INTROSPECT, Exempt.GOOD_TOKEN),
    Route("POST", "/oauth/revoke", oauth.revoke, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/.well-known/jwks.json", configuration.jwks, Needs.NOTHING, Exempt.PUBLIC_KEY),
    Route("GET", "/openapi.json", description.document, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/docs", description.page, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/health/live", health.live, Needs.NOTHING, Exempt.PROBE),
    Route("GET", "/health/ready", health.ready, Needs.NOTHING, Exempt.PROBE),
)


def serve_table(app: web.Application, routes: Iterable[Route]) -> None:
    """Let an application answer these routes. HEAD goes with GET (RFC 9110, section 9.3.2)."""
    app[TABLE] = served = {
        (method, route.path): route
        for route in routes
        for method in ((route.method, "HEAD") if route.method == "GET" else (route.method,))
    }
    for (method, path), route in served.items():
        app.router.add_route(method, path, route.handler.handle)
