"""The operators' description: made as the public one is, whole, valid, and without a place for a secret."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from test_openapi import undeclared, written

from cypher.web.openapi.describe import describe
from cypher.web.openapi.page import render
from cypher.web.operators.application import DESCRIPTION, TITLE
from cypher.web.operators.routes import ROUTES
from cypher.web.routes import ROUTES as PUBLIC
from cypher.web.routes import SCOPES, Needs, Route

HANDLERS = Path(__file__).parents[2] / "cypher" / "web" / "operators" / "handlers"
#: Names of what nobody is shown or may set.
SECRETS = re.compile(r"password|secret|token|record|hash|private|wrapped|ciphertext|otpauth|qr|code\b|totp_(?!enabled)")

each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return written(describe(ROUTES, title=TITLE, about=DESCRIPTION))


def test_document_is_valid_openapi_and_says_whose_it_is(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()
    assert document["info"]["title"] == "Cypher for operators"
    assert "cypher tokens create" in document["info"]["description"]


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert described == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


def test_no_route_is_public_and_operators_at_once() -> None:
    shared = {(route.method, route.path) for route in ROUTES} & {(route.method, route.path) for route in PUBLIC}
    assert {path for _, path in shared} == {"/openapi.json", "/docs", "/health/live", "/health/ready"}
    assert not any(route.path.startswith("/admin") for route in PUBLIC)


@each_route
def test_every_handler_declares_what_it_does(route: Route) -> None:
    assert undeclared(route) == []


@each_route
def test_every_route_says_what_its_kind_may_answer(document: dict[str, Any], route: Route) -> None:
    operation = document["paths"][route.path][route.method.lower()]
    statuses = set(operation["responses"])
    assert {"400", "503"} <= statuses
    assert ({"401", "403", "429"} <= statuses) or route.needs is Needs.NOTHING
    asked = [scope for need in operation["security"] for [scope] in need.values()]
    assert asked == [str(scope) for scope in SCOPES.get(route.needs, ())]
    assert bool(asked) is (route.needs is not Needs.NOTHING)


def test_parameters_are_what_is_checked(document: dict[str, Any]) -> None:
    assert "$ref" not in json.dumps([o.get("parameters") for p in document["paths"].values() for o in p.values()])
    [key_id] = document["paths"]["/admin/v1/keys/{key_id}/destroy"]["post"]["parameters"]
    assert re.fullmatch(key_id["schema"]["pattern"], "audit_data-20260101-0a1b2c3d")
    category, _ = document["paths"]["/admin/v1/rate-limits"]["delete"]["parameters"]
    assert category["required"]
    assert "login-name" in category["schema"]["enum"]


def test_nothing_is_declared_that_nothing_uses(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"serviceToken"}
    assert "OAuthError" not in document["components"]["schemas"]


def test_there_is_no_place_for_a_secret(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = {(name, field) for name, schema in schemas.items() for field in schema.get("properties", {})}
    assert len(fields) > 20
    found = {(name, field) for name, field in fields if SECRETS.search(field)}
    # What an operator is given once, to be handed over, and what is no secret but called so.
    made_once = {("RecoveryToken", "recovery_token"), ("InvitedUser", "recovery_token")}
    assert found == {("Problem", "code"), ("FieldProblem", "code"), *made_once}


@pytest.mark.parametrize("file", sorted(HANDLERS.glob("*.py")), ids=lambda file: file.name)
def test_handlers_read_bodies_and_queries_through_the_parser_only(file: Path) -> None:
    forbidden = r"request\.(query|rel_url|query_string|json|post|text|read|content|multipart)\b|\btry:"
    assert not re.search(forbidden, file.read_text())


def test_page_shows_every_route_with_the_scopes_that_open_it(document: dict[str, Any]) -> None:
    page = render(describe(ROUTES, title=TITLE, about=DESCRIPTION), "").decode()
    for route in ROUTES:
        assert f"<b>{route.method}</b> <code>{route.path}</code>" in page
    assert "Scope: <code>viewer</code> or <code>key_custodian</code>." in page


def test_every_need_of_a_service_token_names_its_scopes() -> None:
    assert set(SCOPES) == set(Needs) - {Needs.NOTHING, Needs.ACCESS_TOKEN, Needs.FRESH}
    assert all(SCOPES.values())
    assert {route.needs for route in ROUTES} <= {Needs.NOTHING, *SCOPES} - {Needs.INTROSPECT}
