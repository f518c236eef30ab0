import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cypher.errors import MalformedOpaqueMessage
from cypher.web.encoding import opaque_message, to_base64url

LENGTHS = (32, 64, 96, 192)


@given(st.sampled_from(LENGTHS).flatmap(lambda length: st.binary(min_size=length, max_size=length)))
def test_what_is_encoded_is_decoded(message: bytes):
    assert opaque_message(to_base64url(message), len(message)) == message


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("off_by", [-2, -1, 1, 2, 3])
def test_other_lengths_are_refused(length: int, off_by: int):
    with pytest.raises(MalformedOpaqueMessage):
        opaque_message(to_base64url(bytes(length + off_by)), length)


def _encoded() -> str:
    return base64.urlsafe_b64encode(b"\xfb\xff" * 16).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        _encoded() + "=",
        _encoded()[:-1],
        _encoded().replace("_", "/"),
        _encoded().replace("-", "+"),
        _encoded()[:-1] + "\n",
        _encoded()[:-1] + "!",
        _encoded()[:-1] + "é",
        _encoded()[:-1] + "\u0661",
        " " + _encoded()[1:],
        _encoded()[:-1] + "9",  # bits set beyond the last byte
    ],
)
def test_other_spellings_are_refused(text: str):
    with pytest.raises(MalformedOpaqueMessage):
        opaque_message(text, 32)


@given(st.text(min_size=43, max_size=43), st.sampled_from(LENGTHS))
def test_no_text_gets_through_otherwise(text: str, length: int):
    try:
        assert len(opaque_message(text, length)) == length
    except MalformedOpaqueMessage as exc:
        assert str(exc) == ""  # noqa: PT017
