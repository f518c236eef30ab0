import json
import re
from datetime import timedelta

import pytest
from aiohttp import web

from cypher import errors
from cypher.errors import CypherError, FieldError, ValidationFailed
from cypher.web.errors import answer_error, status_of, translated

STATUSES = {
    "bad_request": 400,
    "bad_json": 400,
    "malformed_opaque_message": 400,
    "invalid_grant": 400,
    "invalid_request": 400,
    "unsupported_grant_type": 400,
    "unauthenticated": 401,
    "invalid_credentials": 401,
    "mfa_failed": 401,
    "session_expired": 401,
    "forbidden": 403,
    "account_disabled": 403,
    "account_locked": 403,
    "insufficient_scope": 403,
    "reauthentication_required": 403,
    "origin_not_allowed": 403,
    "registration_closed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "username_taken": 409,
    "factor_exists": 409,
    "flow_expired": 410,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "validation_failed": 422,
    "rate_limited": 429,
    "factor_locked": 429,
    "dependency_unavailable": 503,
}


def _all(kind: type[CypherError]) -> list[type[CypherError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _all(child))]


ANSWERED = [
    kind
    for kind in _all(CypherError)
    if kind is not CypherError and not issubclass(kind, errors.OperatorError) and kind.__module__ == "cypher.errors"
]


def _made(kind: type[CypherError]) -> CypherError:
    if issubclass(kind, errors.RateLimited):
        return _limited(timedelta(seconds=1), kind)
    return kind()


def _limited(retry_after: timedelta, kind: type[errors.RateLimited] = errors.RateLimited) -> errors.RateLimited:
    return kind(policy="login", limit=10, window=timedelta(minutes=15), retry_after=retry_after)


@pytest.mark.parametrize("kind", ANSWERED, ids=lambda kind: kind.__name__)
def test_every_error_has_the_status_of_the_contract(kind: type[CypherError]):
    error = _made(kind)
    response = answer_error(error, path="/v1/session", request_id="request-1")
    assert response.status == STATUSES[kind.code]
    assert response.content_type == "application/problem+json"
    assert json.loads(response.body) == {
        "type": f"urn:problem-type:cypher:{kind.code}",
        "title": kind.message(),
        "status": STATUSES[kind.code],
        "code": kind.code,
        "request_id": "request-1",
    }
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if response.status == 401 else None)
    assert ("Retry-After" in response.headers) is (response.status in (429, 503))


@pytest.mark.parametrize("kind", ANSWERED, ids=lambda kind: kind.__name__)
def test_oauth_routes_speak_rfc_6749(kind: type[CypherError]):
    response = answer_error(_made(kind), path="/oauth/token", request_id="request-1")
    body = json.loads(response.body)
    assert response.status == STATUSES[kind.code]
    assert response.content_type == "application/json"
    assert set(body) == {"error", "error_description"}
    assert body["error"] in {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unsupported_grant_type",
        "insufficient_scope",
        "rate_limited",
        "origin_not_allowed",
        "dependency_unavailable",
    }
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", body["error_description"])


@pytest.mark.parametrize("path", ["/v1/login/start", "/oauth/token"])
@pytest.mark.parametrize(("wait", "seconds"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.000001, 2), (59.999, 60), (899.5, 900)])
def test_a_refusal_says_how_long_to_wait_in_whole_seconds_and_never_too_few(path: str, wait: float, seconds: int):
    response = answer_error(_limited(timedelta(seconds=wait)), path=path, request_id="r")
    assert response.headers["Retry-After"] == str(seconds)
    assert response.headers["RateLimit-Policy"] == '"login";q=10;w=900'
    assert response.headers["RateLimit"] == f'"login";r=0;t={seconds}'


def test_fields_are_named_by_pointer():
    error = ValidationFailed([FieldError("/username", "length"), FieldError("/ke1", "missing")])
    body = json.loads(answer_error(error, path="/", request_id="r").body)
    assert body["errors"] == [{"pointer": "/username", "code": "length"}, {"pointer": "/ke1", "code": "missing"}]


@pytest.mark.parametrize("error", [CypherError(), errors.KeyStoreRefused("/secret/path"), errors.SchemaRefused("x")])
def test_an_error_that_belongs_to_no_answer_is_a_plain_503(error: CypherError):
    response = answer_error(error, path="/v1/session", request_id="request-1")
    assert status_of(type(error)) == 503
    assert json.loads(response.body)["code"] == "dependency_unavailable"
    assert "Retry-After" in response.headers
    assert b"secret" not in response.body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (web.HTTPNotFound(), "not_found"),
        (web.HTTPMethodNotAllowed("X", ["GET"]), "method_not_allowed"),
        (web.HTTPRequestEntityTooLarge(1), "body_too_large"),
        (web.HTTPExpectationFailed(text="Unknown Expect: canary"), "bad_request"),
        (web.HTTPInternalServerError(), "dependency_unavailable"),
    ],
)
def test_errors_of_the_library_become_ours(error: web.HTTPException, code: str):
    assert translated(error).code == code
