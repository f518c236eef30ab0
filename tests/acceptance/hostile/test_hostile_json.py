"""Every route that reads JSON reads one strict form of it, refuses the rest in the same way, and quotes nothing."""

import json
from collections.abc import Callable

import pytest

from cypher.web.routes import ROUTES, Needs, Route
from cypher.web.schema import TokenForm, TokenOnlyForm
from tests.acceptance.hostile.requests_of_http import CANARY
from tests.acceptance.person import Person

FORMS = (TokenForm, TokenOnlyForm)
READING = [route for route in ROUTES if route.handler.reads and route.handler.reads not in FORMS]
GOOD = json.dumps({"username": CANARY, "x": 1})
DEEP = 10_000

NOT_JSON = {
    "nothing": b"",
    "a form": b"username=CANARY",
    "half of it": b'{"username": "CANARY',
    "something behind it": GOOD.encode() + b"CANARY",
    "another one behind it": GOOD.encode() * 2,
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 without a mark": GOOD.encode("utf-16-le"),
    "UTF-32": GOOD.encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "Latin-1": b'{"username": "CANARY\xe9"}',
    "UTF-8 cut off": b'{"username": "CANARY\xc3"}',
    "UTF-8 of a surrogate": b'{"username": "CANARY\xed\xa0\x80"}',
    "UTF-8 too long": b'{"username": "CANARY\xc0\xaf"}',
    "NaN": b'{"username": NaN, "x": "CANARY"}',
    "Infinity": b'{"CANARY": -Infinity}',
    "a name twice": b'{"username": "CANARY", "username": "CANARY"}',
    "a name twice, once escaped": b'{"username": "CANARY", "user\\u006eame": "CANARY"}',
    "a name twice, deep inside": b'{"x": [{"CANARY": 1, "CANARY": 2}]}',
    "half a surrogate": b'{"username": "CANARY\\ud800"}',
    "surrogates the wrong way round": b'{"username": "CANARY\\ude00\\ud83d"}',
    "half a surrogate in a name": b'{"CANARY\\udfff": 1}',
    "NUL": b'{"username": "CANARY\x00"}',
    "a line feed in a text": b'{"username": "CANARY\n"}',
    "single quotes": b"{'username': 'CANARY'}",
    "a comma too many": b'{"username": "CANARY",}',
    "a comment": b'{"username": "CANARY"} // x',
    "a number too long": b'{"CANARY": ' + b"9" * 5000 + b"}",
    "many levels": b"[" * DEEP + b"]" * DEEP,
    "many levels of objects": b'{"CANARY":' * 5000 + b"1" + b"}" * 5000,
    "many levels, no end": b'{"x":' + b"[" * 60_000,
}
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
