"""Every route that reads JSON reads one strict form of it, refuses the rest in the same way, and quotes nothing."""

import json
from collections.abc import Callable

import pytest

from cypher.web.routes import ROUTES, Needs, Route
from cypher.web.schema import TokenForm, TokenOnlyForm
from tests.acceptance.hostile.bodies_of_json import NOT_JSON
from tests.acceptance.hostile.requests_of_http import CANARY
from tests.acceptance.person import Person

FORMS = (TokenForm, TokenOnlyForm)
READING = [route for route in ROUTES if route.handler.reads and route.handler.reads not in FORMS]
NOT_FITTING = {
    "a list": b'["CANARY"]',
    "a text": b'"CANARY"',
    "null": b"null",
    "a number": b"1e999",
    "every field a number": None,
    "every field null": None,
    "every field a list": None,
}


def _filled(route: Route, value: object) -> bytes:
    assert route.handler.reads
    return json.dumps(dict.fromkeys(route.handler.reads.__struct_encode_fields__, value)).encode()


def _body(route: Route, what: str) -> bytes:
    made: dict[str, object] = {"every field a number": 10**30, "every field null": None, "every field a list": [CANARY]}
    return _filled(route, made[what]) if what in made else NOT_FITTING[what] or b""


def _headers(route: Route, token: str) -> dict[str, str]:
    bearer = {} if route.needs is Needs.NOTHING else {"Authorization": f"Bearer {token}"}
    return bearer | {"Content-Type": "application/json"}


@pytest.fixture
async def faults(person: Person, access_token: str) -> Callable[..., object]:
    """Send bodies to every route; return those that are answered otherwise than they should be, or quoted."""

    async def sent(names: dict[str, bytes | None], body_of: Callable[[Route, str], bytes], status: int, code: str):
        found = {}
        for route in READING:
            path = route.path.replace("{id}", "01900000-0000-7000-8000-000000000001")
            for name in names:
                headers = _headers(route, access_token)
                answer = await person.ask(route.method, path, data=body_of(route, name), headers=headers)
                said = answer.body.get("code") if isinstance(answer.body, dict) else None
                if (answer.status, said) != (status, code) or CANARY in str(answer):
                    found[f"{route.method} {route.path}: {name}"] = (answer.status, answer.body)
        return found

    return sent


async def test_what_is_not_strict_json_is_bad_json(faults, logged: Callable[[], list[str]]) -> None:
    assert await faults(NOT_JSON, lambda _, name: NOT_JSON[name], 400, "bad_json") == {}
    assert [line for line in logged() if CANARY in line or "unexpected" in line] == []


async def test_json_of_another_form_fails_validation(faults, logged: Callable[[], list[str]]) -> None:
    assert await faults(NOT_FITTING, _body, 422, "validation_failed") == {}
    assert [line for line in logged() if CANARY in line or "unexpected" in line] == []
