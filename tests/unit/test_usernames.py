"""The short way for names in ASCII comes to what RFC 8265 says, and to nothing else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from cypher.auth.usernames import MAX_CODE_POINTS, normalise
from cypher.errors import ValidationFailed

PROFILE = get_profile("UsernameCaseMapped")


def by_the_profile(name: str) -> str | None:
    try:
        return PROFILE.enforce(name)
    except UnicodeError:
        return None


def by_ours(name: str) -> str | None:
    try:
        return normalise(name)
    except ValidationFailed:
        return None


@pytest.mark.parametrize("sign", [chr(number) for number in range(128)])
def test_each_sign_alone_and_between_others(sign: str) -> None:
    for name in (sign, f"a{sign}b", f"1{sign}", f"{sign}Z"):
        assert by_ours(name) == by_the_profile(name), ascii(name)


@given(st.text(string.printable, min_size=1, max_size=MAX_CODE_POINTS))
def test_any_text_of_ascii(name: str) -> None:
    assert by_ours(name) == by_the_profile(name)
