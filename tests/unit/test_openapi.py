"""The description is made of the route table, whole and valid; what a handler leaves undeclared is found."""

import inspect
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from aiohttp import web

from cypher import errors
from cypher.auth.types import SessionView
from cypher.errors import CypherError
from cypher.web.encoding import opaque_message, to_base64url
from cypher.web.endpoint import Endpoint, endpoint
from cypher.web.errors import OAUTH_PREFIX, status_of
from cypher.web.openapi.describe import describe
from cypher.web.openapi.document import Document
from cypher.web.openapi.page import render
from cypher.web.operators.routes import ROUTES as OPERATORS
from cypher.web.routes import ROUTES, Counted, Needs, Route
from cypher.web.schema import LoginFinish, LoginStart, Revoked
from tests.contract import Contract

HANDLERS = Path(__file__).parents[2] / "cypher" / "web" / "handlers"
#: Of answers that belong to no route: another method.
BEYOND_THE_TABLE = {"method_not_allowed"}
#: Families, which are never raised themselves.
FAMILIES = {"error", "forbidden", "conflict"}

each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


def written(document: Document) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(msgspec.json.encode(document))
    return read


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return written(describe(ROUTES))


def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


# -- what a handler declares ----------------------------------------------------------------------------------


def undeclared(route: Route) -> list[str]:
    """Return what a handler does that its declaration does not say."""
    source = inspect.getsource(route.handler.handle)
    reader = "read_form" if route.path.startswith(OAUTH_PREFIX) else "read"
    declared = {
        (word, struct.__name__)
        for word, struct in ((reader, route.handler.reads), ("read_query", route.handler.query))
        if struct is not None
    }
    done = set(re.findall(r"\b(read|read_form|read_query)\(request, (\w+)\)", source))
    found = [f"{word} of {name}" for word, name in done ^ declared]
    if "opaque_message(" in source and errors.MalformedOpaqueMessage not in route.handler.raises:
        found.append("MalformedOpaqueMessage")
    if not (inspect.getdoc(route.handler.handle) or "").startswith(f"{route.method} {route.path}: "):
        found.append("its docstring, which begins with method, path and a colon")
    if not any(status < 400 for status in route.handler.answers):
        found.append("an answer")
    return found


@each_route
def test_every_handler_declares_what_it_does(route: Route) -> None:
    assert undeclared(route) == []


@endpoint(answers={})
async def silent(request: web.Request) -> web.Response:
    """POST /v1/silent."""
    body = await read(request, LoginFinish)  # noqa: F821 - never called
    opaque_message(body.ke3, 64)
    scope = read_query(request, Revoked)  # noqa: F821
    return scope


def test_what_is_not_declared_is_found() -> None:
    found = undeclared(Route("POST", "/v1/silent", silent, Needs.NOTHING, Counted.DEFAULT))
    assert set(found) == {
        "read of LoginFinish",
        "read_query of Revoked",
        "MalformedOpaqueMessage",
        "its docstring, which begins with method, path and a colon",
        "an answer",
    }
    form = Endpoint(handle=silent.handle, answers={200: None}, reads=LoginStart, query=Revoked, raises=())
    assert "read_form of LoginStart" in undeclared(Route("POST", "/oauth/silent", form, Needs.NOTHING, Counted.DEFAULT))


@pytest.mark.parametrize("file", sorted(HANDLERS.glob("*.py")), ids=lambda file: file.name)
def test_handlers_read_bodies_and_queries_through_the_parser_only(file: Path) -> None:
    forbidden = r"request\.(query|rel_url|query_string|json|post|text|read|content|multipart)\b"
    assert not re.search(forbidden, file.read_text())


def all_kinds(kind: type[CypherError]) -> Iterator[type[CypherError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from all_kinds(child)


def codes_in(part: object) -> Iterator[str]:
    """Every code that an answer's schema lists."""
    if isinstance(part, dict):
        for field in ("code", "error"):
            yield from part.get("properties", {}).get(field, {}).get("enum", ())
        for inner in part.values():
            yield from codes_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from codes_in(inner)


def is_answered(kind: type[CypherError]) -> bool:
    """Tell whether an error ever is an answer of its own: what only its operator can mend is 503."""
    return not issubclass(kind, errors.OperatorError) or status_of(kind) is not HTTPStatus.SERVICE_UNAVAILABLE


def test_every_code_is_declared_by_some_route(document: dict[str, Any]) -> None:
    known = {kind.code for kind in all_kinds(CypherError) if is_answered(kind)}
    declared = set(codes_in(document)) | set(codes_in(written(describe(OPERATORS))))
    assert declared - {"invalid_client"} == known - BEYOND_THE_TABLE - FAMILIES


@each_route
def test_every_route_says_what_its_kind_may_answer(document: dict[str, Any], route: Route) -> None:
    operation = document["paths"][route.path][route.method.lower()]
    statuses = set(operation["responses"])
    assert {"400", "503"} <= statuses
    assert ({"401"} <= statuses) or route.needs is Needs.NOTHING
    assert bool(operation["security"]) is (route.needs is not Needs.NOTHING)
    assert ("404" in statuses) >= ("{" in route.path)
    assert ("requestBody" in operation) is (route.handler.reads is not None)
    if route.handler.reads is not None:
        media_type = "application/x-www-form-urlencoded" if route.path.startswith("/oauth/") else "application/json"
        assert list(operation["requestBody"]["content"]) == [media_type]
        assert {"413", "415"} <= statuses


def test_refusals_carry_their_headers(document: dict[str, Any]) -> None:
    for name, response in document["components"]["responses"].items():
        assert "X-Request-Id" in response["headers"]
        status = re.search(r"\d{3}", name)
        assert status
        assert ("WWW-Authenticate" in response["headers"]) is (status[0] == "401")
        assert ("Retry-After" in response["headers"]) is (status[0] in ("429", "503"))


def test_the_refresh_cookie_is_described_where_it_is_given_and_taken(document: dict[str, Any]) -> None:
    given, taken = set(), set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if "Set-Cookie" in response.get("headers", {}):
                    given.add((method, path, status))
            if any(parameter["in"] == "cookie" for parameter in operation.get("parameters", ())):
                taken.add((method, path))
    assert given == {
        ("post", "/v1/login/finish", "200"),
        ("post", "/v1/login/mfa", "200"),
        ("post", "/oauth/token", "200"),
        ("post", "/oauth/token", "400"),
        ("delete", "/v1/session", "204"),
    }
    assert taken == {("post", "/oauth/token")}
    refused = document["paths"]["/oauth/token"]["post"]["responses"]["400"]
    assert set(codes_in(refused)) == {"invalid_grant", "invalid_request", "unsupported_grant_type"}
    assert "403" in document["paths"]["/oauth/token"]["post"]["responses"]
    assert not document["components"]["headers"]["Set-Cookie"].get("required", False)


# -- what a schema says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "octets"),
    [
        ("RegistrationStart", "registration_request", 32),
        ("RegistrationStarted", "registration_response", 64),
        ("RegistrationFinish", "registration_record", 192),
        ("LoginStart", "ke1", 96),
        ("LoginStarted", "ke2", 320),
        ("LoginFinish", "ke3", 64),
        ("OpaqueParameters", "server_public_key", 32),
    ],
)
def test_opaque_messages_are_described_as_they_are_checked(
    document: dict[str, Any], name: str, field: str, octets: int
) -> None:
    schema = jsonschema_rs.validator_for(document["components"]["schemas"][name]["properties"][field])
    for message in (bytes(octets), b"\xff" * octets):
        assert schema.is_valid(to_base64url(message))
    full = to_base64url(b"\xff" * octets)
    for wrong in ("", full[:-1], full + "A", full + "=", "+" + full[1:], "\u0661" + full[1:], full + "\n"):
        assert not schema.is_valid(wrong)
        with pytest.raises(errors.MalformedOpaqueMessage):
            opaque_message(wrong, octets)
    if octets % 3:
        assert not schema.is_valid(full[:-1] + "_")


def test_an_answer_shows_all_its_fields_but_those_that_may_be_unset(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"status", "token_type", "session"} <= set(schemas["Authenticated"]["required"])
    assert "device_id" in schemas["SessionView"]["required"]
    assert "errors" not in schemas["Problem"]["required"]
    assert "refresh_token" not in schemas["TokenForm"]["required"]
    assert not {"refresh_token", "device_token"} & set(schemas["Authenticated"]["required"])
    assert {"name", "trusted_until", "current"} <= set(schemas["DeviceItem"]["required"])


def test_what_may_be_left_out_of_a_request_is_not_required(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["LoginStart"]["required"] == ["username", "ke1"]
    assert schemas["LoginFinish"]["required"] == ["flow_id", "ke3"]
    assert "trust_device" not in schemas["LoginMfa"]["required"]
    assert schemas["SentDevice"]["required"] == ["fingerprint"]
    assert schemas["DeviceChange"].get("required", []) == []
    assert schemas["DeviceChange"]["properties"]["trusted"]["enum"] == [False]
    assert set(schemas["ReauthenticationFinish"]["properties"]) == {"flow_id", "ke3"}


# -- the guard that tests of HTTP go through ------------------------------------------------------------------

PROBLEM = {"type": "x", "title": "x", "request_id": "request-1"}
HEADERS = {"X-Request-Id": "request-1", "Content-Type": "application/problem+json"}


def _problem(status: int, code: str) -> bytes:
    return json.dumps({**PROBLEM, "status": status, "code": code}).encode()


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body"),
    [
        ("GET", "/v1/session", 418, {}, b""),
        ("GET", "/v1/session", 409, {}, _problem(409, "username_taken")),
        ("GET", "/v1/session", 401, {"WWW-Authenticate": "Bearer"}, _problem(401, "invalid_credentials")),
        ("GET", "/v1/session", 401, {}, _problem(401, "unauthenticated")),
        ("GET", "/v1/session", 200, {"Content-Type": "application/json"}, b"{}"),
        ("GET", "/v1/session", 200, {"Content-Type": "text/plain"}, b"x"),
        ("GET", "/v1/session", 200, {}, b""),
        ("DELETE", "/v1/session", 204, {}, b"x"),
        ("DELETE", "/v1/sessions/x", 204, {"Set-Cookie": "a=b"}, b""),
        ("PUT", "/v1/session", 200, {}, b"{}"),
        ("GET", "/nowhere", 405, {}, _problem(405, "not_found")),
    ],
)
def test_an_answer_that_is_not_declared_is_found(
    document: dict[str, Any], method: str, path: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    assert Contract(document).breach(method, path, status, HEADERS | headers, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body"),
    [
        ("GET", "/v1/session", 401, {"WWW-Authenticate": "Bearer"}, _problem(401, "session_expired")),
        ("HEAD", "/v1/session", 401, {"WWW-Authenticate": "Bearer"}, b""),
        ("DELETE", "/v1/sessions/x", 404, {}, _problem(404, "not_found")),
        ("DELETE", "/v1/session", 204, {}, b""),
        ("DELETE", "/v1/session", 204, {"Set-Cookie": "a=b"}, b""),
        ("PUT", "/v1/session", 405, {}, _problem(405, "method_not_allowed")),
        ("GET", "/nowhere", 404, {}, _problem(404, "not_found")),
    ],
)
def test_an_answer_that_is_declared_passes(
    document: dict[str, Any], method: str, path: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    assert Contract(document).breach(method, path, status, HEADERS | headers, body) is None


# -- the page -------------------------------------------------------------------------------------------------


def test_page_shows_every_route_code_and_object(document: dict[str, Any]) -> None:
    page = render(describe(ROUTES), "").decode()
    for route in ROUTES:
        assert f"<b>{route.method}</b> <code>{route.path}</code>" in page
    for word in {*codes_in(document), *document["components"]["schemas"]}:
        assert word in page


def test_page_loads_nothing_and_runs_nothing() -> None:
    page = render(describe(ROUTES), "").decode()
    assert not re.search(r"<(script|link|img|iframe|object|form|base)\b|\bon\w+=|javascript:|\bstyle=", page)
    links = set(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert {link for link in links if not link.startswith("#")} == {"openapi.json"}
    targets = set(re.findall(r'\bid="([^"]*)"', page))
    assert {link[1:] for link in links if link.startswith("#")} <= targets


@endpoint(answers={200: SessionView})
async def marked_up(request: web.Request) -> web.Response:
    """GET /v1/<script>alert(1)</script>: <img src=x onerror=alert(1)> & `</code><script>`."""
    raise NotImplementedError


def test_nothing_in_the_document_becomes_markup() -> None:
    route = Route("GET", "/v1/<script>alert(1)</script>", marked_up, Needs.NOTHING, Counted.DEFAULT)
    page = render(describe([route]), "").decode()
    assert not re.search(r"<(script|img)", page)
    assert "&lt;script&gt;" in page
