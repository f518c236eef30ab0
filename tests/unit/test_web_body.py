import json
import re

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from cypher.errors import BadJson, FieldError, InvalidRequest, ValidationFailed
from cypher.web.body import FORM, JSON, MAX_DEPTH, _is_media_type, parse_form, parse_json, read_query
from cypher.web.schema import LoginFinish, TokenForm, TokenOnlyForm

GOOD = {"flow_id": "f", "ke3": "k"}


class Anything(msgspec.Struct, frozen=True):
    known: str | None = None


def test_unknown_fields_are_ignored():
    assert parse_json(json.dumps(GOOD | {"unknown": {"x": [1, None]}}).encode(), LoginFinish) == LoginFinish(**GOOD)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"flow_id": "f", "ke3": "k"} x',
        b'{"flow_id": "f", "ke3": "k",}',
        b"{'flow_id': 'f'}",
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        b'{"flow_id": "\xff", "ke3": "k"}',
        b'{"flow_id": "f", "ke3": "k", "x": NaN}',
        b'{"flow_id": "f", "ke3": "k", "x": Infinity}',
        b'{"flow_id": "f", "ke3": "k", "x": -Infinity}',
        b'{"flow_id": "f", "ke3": "k", "flow_id": "g"}',
        b'{"flow_id": "f", "ke3": "k", "x": {"a": 1, "a": 1}}',
        b'{"flow_id": "f", "ke3": "k", "flow\\u005fid": "g"}',
        b'{"flow_id": "\\ud800", "ke3": "k"}',
        b'{"flow_id": "f", "ke3": "k", "x": ["\\udfff\\ud800"]}',
        b'{"flow_id": "f", "ke3": "k", "\\ud800": 1}',
        b'{"flow_id": "f\x00", "ke3": "k"}',
        b'{"flow_id": "f\n", "ke3": "k"}',
        b'{"x": ' + b"9" * 60_000 + b"}",
        b"[" * 65_000,
        b'{"a":' * 13_000,
    ],
)
def test_what_is_not_strict_json_is_refused(body: bytes):
    with pytest.raises(BadJson):
        parse_json(body, LoginFinish)


def test_a_paired_surrogate_is_one_character():
    assert parse_json(b'{"flow_id": "\\ud83d\\ude00", "ke3": "k"}', LoginFinish).flow_id == "\N{GRINNING FACE}"


@pytest.mark.parametrize("bracket", ["[]", ("{", "}")])
def test_depth_is_bounded_exactly(bracket: tuple[str, str]):
    def nested(depth: int) -> bytes:
        opening, closing = ("[", "]") if bracket == "[]" else ('{"k":', "}")
        return (opening * depth + "1" + closing * depth).encode()

    assert parse_json(b'{"x":' + nested(MAX_DEPTH - 1) + b"}", Anything) == Anything()
    with pytest.raises(BadJson):
        parse_json(b'{"x":' + nested(MAX_DEPTH) + b"}", Anything)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"1", b"true", b"1e999"])
def test_what_is_not_an_object_does_not_fit(body: bytes):
    with pytest.raises(ValidationFailed) as caught:
        parse_json(body, LoginFinish)
    assert caught.value.fields == (FieldError("", "not_an_object"),)


def test_every_field_that_does_not_fit_is_named():
    with pytest.raises(ValidationFailed) as caught:
        parse_json(b'{"ke3": 5, "other": 6}', LoginFinish)
    assert caught.value.fields == (FieldError("/flow_id", "missing"), FieldError("/ke3", "invalid"))


@given(st.binary(max_size=200))
def test_no_bytes_get_through_the_json_parser_otherwise(body: bytes):
    try:
        parse_json(body, LoginFinish)
    except (BadJson, ValidationFailed) as exc:
        assert str(exc) in ("", ValidationFailed.message())  # noqa: PT017


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), st.text(), st.text())
def test_every_proper_object_is_read(others: dict[str, object], flow_id: str, ke3: str):
    body = json.dumps(others | {"flow_id": flow_id, "ke3": ke3}, ensure_ascii=False).encode()
    assert parse_json(body, LoginFinish) == LoginFinish(flow_id=flow_id, ke3=ke3)


def test_a_form_is_read():
    form = parse_form(b"grant_type=refresh_token&refresh_token=a%2Bb+c&scope=x", TokenForm)
    assert form == TokenForm(grant_type="refresh_token", refresh_token="a+b c")


def test_a_parameter_without_a_value_counts_as_absent():
    assert parse_form(b"grant_type=refresh_token&refresh_token=", TokenForm).refresh_token is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"token",
        b"token=",
        b"token=a&token=a",
        b"token=a&token=",
        b"token=a&x=1&x=2",
        b"token=a&&x=1",
        b"token=a&t%6Fken=b",
        b"token=%ff",
        b"token=\xff",
        b"{}",
        b"&".join(b"p%d=1" % number for number in range(40)) + b"&token=a",
    ],
)
def test_a_form_that_could_be_read_in_two_ways_is_refused(body: bytes):
    with pytest.raises(InvalidRequest):
        parse_form(body, TokenOnlyForm)


@given(st.binary(max_size=200))
def test_no_bytes_get_through_the_form_parser_otherwise(body: bytes):
    try:
        parse_form(body, TokenOnlyForm)
    except InvalidRequest as exc:
        assert str(exc) == ""  # noqa: PT017


@pytest.mark.parametrize(
    "sent",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; profile=x ; charset=utf-8 ",
        "application/json;",
    ],
)
def test_json_in_utf8_is_taken(sent: str):
    assert _is_media_type(sent, JSON)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "json",
        "text/json",
        "application/jsonx",
        "application/json x",
        "application/json, application/json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=bogus",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; charset",
        "application/json; charset=",
        'application/json; charset="utf-8',
        "application/json\n",
        FORM,
    ],
)
def test_everything_else_is_not(sent: str):
    assert not _is_media_type(sent, JSON)


def test_a_hostile_media_type_takes_no_time():
    for hostile in ("application/json" + " ;" * 4000 + "\x01", "a/" * 4000, "application/json" + ";a=b" * 2000 + '"'):
        assert not _is_media_type(hostile, JSON)
    assert re.compile(JSON)


class Page(msgspec.Struct, frozen=True):
    limit: int
    cursor: str | None = None


def test_a_query_is_read_into_its_struct():
    assert read_query(make_mocked_request("GET", "/?limit=5&cursor=null&other=1&other=2"), Page) == Page(5, "null")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", [FieldError("/limit", "missing")]),
        ("limit=", [FieldError("/limit", "invalid")]),
        ("limit=5&limit=5", [FieldError("/limit", "invalid")]),
        ("limit=%D9%A5", [FieldError("/limit", "invalid")]),
        ("limit=5_0", [FieldError("/limit", "invalid")]),
        ("limit=x&cursor=a&cursor=b", [FieldError("/cursor", "invalid")]),
    ],
)
def test_a_query_that_does_not_fit_names_its_fields(query: str, fields: list[FieldError]):
    with pytest.raises(ValidationFailed) as refused:
        read_query(make_mocked_request("GET", f"/?{query}"), Page)
    assert list(refused.value.fields) == fields


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ({}, [("/device/fingerprint", "missing")]),
        ({"fingerprint": ""}, [("/device/fingerprint", "invalid")]),
        (
            {"fingerprint": "x" * 256, "name": "x" * 101},
            [("/device/fingerprint", "invalid"), ("/device/name", "invalid")],
        ),
        (
            {"fingerprint": "x", "info": {"model": "x" * 201, "app": 1}},
            [("/device/info/model", "invalid"), ("/device/info/app", "invalid")],
        ),
        ({"fingerprint": "x", "info": "x"}, [("/device/info", "invalid")]),
        ("x", [("/device", "invalid")]),
        (["x"], [("/device", "invalid")]),
    ],
)
def test_a_field_inside_of_another_is_named_by_its_place(device: object, found: list[tuple[str, str]]):
    with pytest.raises(ValidationFailed) as refused:
        parse_json(json.dumps(GOOD | {"device": device}).encode(), LoginFinish)
    assert [(field.pointer, field.code) for field in refused.value.fields] == found


def test_the_largest_device_that_is_taken_is_taken():
    device = {"fingerprint": "ö" * 255, "name": "ö" * 100, "info": {"platform": "x" * 200, "model": None, "more": [1]}}
    read = parse_json(json.dumps(GOOD | {"device": device}).encode(), LoginFinish).device
    assert read is not None
    assert (len(read.fingerprint), len(read.name or "")) == (255, 100)
