"""Why a route may refuse: what its handler declares, and what follows by rule from where it stands."""

from http import HTTPStatus

from cypher import errors
from cypher.errors import CypherError
from cypher.web.errors import OAUTH_PREFIX, code_of, status_of
from cypher.web.routes import Counted, Exempt, Needs, Route

Kinds = tuple[type[CypherError], ...]

#: Bytes that are not HTTP; something that is away, or takes longer than a request may.
ANY_ROUTE: Kinds = (errors.BadRequest, errors.Unavailable)
JSON_BODY: Kinds = (errors.BadJson, errors.BodyTooLarge, errors.UnsupportedMediaType, errors.ValidationFailed)
FORM_BODY: Kinds = (errors.InvalidRequest, errors.BodyTooLarge, errors.UnsupportedMediaType)
#: Of the operators' listener.
BY_GUARD: Kinds = (errors.Unauthenticated, errors.InsufficientScope, errors.OriginNotAllowed)
#: A need that is not in here has no description, and no service starts.
BY_NEED: dict[Needs, Kinds] = {
    Needs.NOTHING: (),
    Needs.ACCESS_TOKEN: (errors.Unauthenticated, errors.SessionExpired),
    Needs.FRESH: (errors.Unauthenticated, errors.SessionExpired, errors.ReauthenticationRequired),
    Needs.INTROSPECT: (errors.Unauthenticated, errors.InsufficientScope),
    Needs.SEE_PEOPLE: BY_GUARD,
    Needs.SEE_KEYS: BY_GUARD,
    Needs.SEE_METRICS: BY_GUARD,
    Needs.OPERATOR: BY_GUARD,
    Needs.AUDITOR: BY_GUARD,
    Needs.KEY_CUSTODIAN: BY_GUARD,
}


def speaks_oauth(route: Route) -> bool:
    """Tell whether a route speaks OAuth: forms in, `{error, error_description}` out."""
    return route.path.startswith(OAUTH_PREFIX)


def refusals(route: Route) -> dict[HTTPStatus, dict[str, str]]:
    """Return for each status the codes that a route may answer with, and what each of them says."""
    found: dict[HTTPStatus, dict[str, str]] = {}
    for kind in _kinds(route):
        found.setdefault(status_of(kind), {}).setdefault(code_of(kind, route.path), kind.message())
    return {status: dict(sorted(found[status].items())) for status in sorted(found)}


def _kinds(route: Route) -> Kinds:
    """Return the errors of a route; its own first, since the first message of a code is the one that is shown."""
    declared = route.handler
    kinds = declared.raises + BY_NEED[route.needs]
    if declared.reads is not None:
        kinds += FORM_BODY if speaks_oauth(route) else JSON_BODY
    if declared.query is not None:
        kinds += (errors.ValidationFailed,)
    if "{" in route.path:
        kinds += (errors.NotFound,)
    if isinstance(route.limit, Counted) or route.limit is Exempt.GOOD_TOKEN:
        kinds += (errors.RateLimited,)
    return kinds + ANY_ROUTE
