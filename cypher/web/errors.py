"""From an error to its answer: problem+json (RFC 9457), and on `/oauth/*` the errors of RFC 6749.

An answer says what the class of the error says and nothing else: no value that was sent, no text of a driver.
"""

from http import HTTPStatus
from math import ceil

from aiohttp import hdrs, web
from msgspec import UNSET

from cypher import errors
from cypher.errors import CypherError
from cypher.web.answers import answer, answer_as
from cypher.web.schema import FieldProblem, OAuthError, Problem

PROBLEM_JSON = "application/problem+json"
PROBLEM_TYPE = "urn:problem-type:cypher:"
OAUTH_PREFIX = "/oauth/"
#: What is away is mostly away for a moment: a failover, a restart, a full pool.
RETRY_AFTER_SECONDS = "1"
#: The fields of draft-ietf-httpapi-ratelimit-headers-10 (structured fields, RFC 9651).
POLICY_HEADER = "RateLimit-Policy"
STATE_HEADER = "RateLimit"

#: By family; the nearest ancestor of an error decides.
STATUSES: dict[type[CypherError], HTTPStatus] = {
    errors.BadRequest: HTTPStatus.BAD_REQUEST,
    errors.InvalidGrant: HTTPStatus.BAD_REQUEST,
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedGrantType: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.FlowExpired: HTTPStatus.GONE,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.ValidationFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
#: Codes that stand in `error` as they are (RFC 6749, section 5.2; RFC 6750, section 3.1; the rest are ours).
OAUTH_CODES = frozenset(
    kind.code
    for kind in (
        errors.InvalidGrant,
        errors.InvalidRequest,
        errors.UnsupportedGrantType,
        errors.InsufficientScope,
        errors.RateLimited,
        errors.OriginNotAllowed,
        errors.Unavailable,
    )
)


def status_of(kind: type[CypherError]) -> HTTPStatus:
    """Return the status of an error; one that belongs to no answer is our fault: 503."""
    for ancestor in kind.__mro__:
        if ancestor in STATUSES:
            return STATUSES[ancestor]
    return HTTPStatus.SERVICE_UNAVAILABLE


def code_of(kind: type[CypherError], path: str) -> str:
    """Return the code of an error, as it is written in an answer at `path`."""
    if not path.startswith(OAUTH_PREFIX) or kind.code in OAUTH_CODES:
        return kind.code
    return "invalid_client" if issubclass(kind, errors.Unauthenticated) else errors.InvalidRequest.code


def answer_error(error: CypherError, *, path: str, request_id: str) -> web.Response:
    """Answer with an error, in the form that belongs to `path`."""
    status = status_of(type(error))
    if status is HTTPStatus.SERVICE_UNAVAILABLE and not isinstance(error, errors.Unavailable):
        error = errors.Unavailable()
    if path.startswith(OAUTH_PREFIX):
        response = answer(
            OAuthError(error=code_of(type(error), path), error_description=error.message()), status=status
        )
    else:
        response = answer_as(PROBLEM_JSON, _problem(error, status, request_id), status=status)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if isinstance(error, errors.RateLimited):
        response.headers.update(_limit_headers(error))
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER_SECONDS
    return response


def translated(error: web.HTTPException) -> CypherError:
    """Return our error for one of aiohttp's, whose text may hold what was sent."""
    match error.status:
        case HTTPStatus.NOT_FOUND:
            return errors.NotFound()
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return errors.MethodNotAllowed()
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return errors.BodyTooLarge()
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return errors.BadRequest()
        case _:
            return errors.Unavailable()


def _problem(error: CypherError, status: HTTPStatus, request_id: str) -> Problem:
    fields = error.fields if isinstance(error, errors.ValidationFailed) else ()
    listed = tuple(FieldProblem(pointer=field.pointer, code=field.code) for field in fields)
    return Problem(
        type=PROBLEM_TYPE + error.code,
        title=error.message(),
        status=status,
        code=error.code,
        request_id=request_id,
        errors=listed or UNSET,
    )


def _limit_headers(error: errors.RateLimited) -> dict[str, str]:
    """Return how long to wait, and the one limit that refused: how much is left of others is not told."""
    wait, window = max(1, ceil(error.retry_after.total_seconds())), int(error.window.total_seconds())
    return {
        hdrs.RETRY_AFTER: str(wait),
        POLICY_HEADER: f'"{error.policy}";q={error.limit};w={window}',
        STATE_HEADER: f'"{error.policy}";r=0;t={wait}',
    }
