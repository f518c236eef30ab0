"""A name is refused, or there is exactly one form of it; on every route that takes one, and quoted nowhere."""

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cypher.auth.usernames import MAX_BYTES, MAX_CODE_POINTS, normalise
from cypher.errors import ValidationFailed
from tests.acceptance.new_passwords import any_ke1, any_request
from tests.acceptance.person import Person

ROUTES: dict[str, dict[str, str]] = {
    "POST /v1/registration/start": {"registration_request": any_request()},
    "POST /v1/login/start": {"ke1": any_ke1()},
    "POST /v1/recovery/request": {},
    "POST /v1/recovery/start": {"registration_request": any_request(), "recovery_token": "cyv_x"},
    "PATCH /v1/account": {},
}
REFUSED = {
    "NUL": "canary\x00",
    "ESC": "canary\x1b[2J",
    "DEL": "canary\x7f",
    "a control of Latin-1": "canary\x85",
    "a line feed": "canary\ncanary",
    "right-to-left override": "canary\u202e",
    "an isolate": "canary\u2066",
    "a joiner": "canary\u200d",
    "a space without width": "can\u200bary",
    "a byte order mark": "\ufeffcanary",
    "a soft hyphen": "can\xadary",
    "a space that does not break": "canary\xa0",
    "an ideographic space": "canary\u3000",
    "a line separator": "canary\u2028",
    "a tag": "canary\U000e0061",
    "a variation selector": "canary\ufe0f",
    "private use": "canary\ue000",
    "no character": "canary\uffff",
    "no character of the last plane": "canary\U0010ffff",
    "not assigned": "canary\u0378",
    "a ligature": "\ufb01canary",
    "a compatibility digraph": "\u01c6canary",
    "an old jamo": "\u1100\u1100canary",
    "an emoji": "canary\U0001f600",
    "Latin and Cyrillic": "c\u0430nary",
    "Latin and Greek": "canary\u03b1",
    "Latin and Hebrew": "canary\u05d0",
    "digits of two scripts": "\u0663\u06f3",
    "Hebrew behind a digit": "1\u05d0",
    "nothing": "",
    "a space": " ",
    "65 letters": "x" * (MAX_CODE_POINTS + 1),
    "64 letters of 256 bytes": "\U00010428" * MAX_CODE_POINTS,
    "64 letters that become 128": "\u0130" * MAX_CODE_POINTS,
}
#: Written in two ways, and the one form of both.
ONE_FORM = [
    ("ZOE\u0308", "zo\xeb"),
    ("\uff3a\uff2f\xcb", "zo\xeb"),
    ("\u212a", "k"),
    ("\u2126", "\u03c9"),
    ("STRA\u1e9eE", "stra\xdfe"),
    ("\u1112\u1161\u11ab", "\ud55c"),
    ("\U00010400" * 63, "\U00010428" * 63),
]


async def test_a_name_that_is_none_is_refused_wherever_it_is_taken(
    person: Person, access_token: str, logged: Callable[[], list[str]]
) -> None:
    faults = {}
    for asked, (what, name) in product(ROUTES, REFUSED.items()):
        body = {**ROUTES[asked], "username": name}
        answer = await person.bearing(*asked.split(), access_token, json=body)
        if answer.status != 422 or [error["pointer"] for error in answer.body["errors"]] != ["/username"]:
            faults[asked, what] = (answer.status, answer.body)
        if "canary" in str(answer.body):
            faults[asked, what] = ("quoted", answer.body)
    assert faults == {}
    assert [line for line in logged() if "canary" in line] == []


@pytest.mark.parametrize(("written", "form"), ONE_FORM, ids=ascii)
def test_two_ways_of_writing_a_name_are_one_name(written: str, form: str) -> None:
    assert normalise(written) == normalise(form) == form


@given(st.text(max_size=70))
@example("\u0130")
@example("\u1e9e" * 60)
@example("\u0390\u03b0")
def test_whatever_is_taken_is_its_own_form_and_keeps_the_bounds(name: str) -> None:
    try:
        form = normalise(name)
    except ValidationFailed as refused:
        assert [field.pointer for field in refused.fields] == ["/username"]  # noqa: PT017
        return
    assert normalise(form) == form
    assert 1 <= len(form) <= MAX_CODE_POINTS
    assert len(form.encode()) <= MAX_BYTES
