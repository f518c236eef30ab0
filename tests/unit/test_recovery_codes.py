"""Recovery codes: ten, long, and the same however they are typed."""

import re

import pytest

from cypher.auth import recovery_codes


def test_ten_codes_of_128_bits_are_drawn_anew() -> None:
    codes = [code for _ in range(20) for code in recovery_codes.new_codes()]
    assert len(set(codes)) == 200
    assert {len(code) for code in codes} == {16}


def test_a_code_is_read_as_it_was_written_with_or_without_hyphens_and_in_either_case() -> None:
    code = bytes(range(0xA0, 0xB0))
    text = recovery_codes.write(code)
    assert re.fullmatch(r"([0-9a-f]{4}-){7}[0-9a-f]{4}", text)
    for spelling in (text, text.upper(), text.replace("-", ""), text.replace("-", "", 3)):
        assert recovery_codes.read(spelling) == code
    assert len(recovery_codes.hash_code(code)) == 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "a" * 31,
        "a" * 33,
        "a0a1-" * 8,
        "a0a1--a2a3-a4a5-a6a7-a8a9-aaab-acad-aeaf",
        " a0a1-a2a3-a4a5-a6a7-a8a9-aaab-acad-aeaf",
        "a0a1 a2a3 a4a5 a6a7 a8a9 aaab acad aeaf",
        "a0a1-a2a3-a4a5-a6a7-a8a9-aaab-acad-aeaf\n",
        "a0a1-a2a3-a4a5-a6a7-a8a9-aaab-acad-aea\uff46",
        "\u0660" * 32,
        "g" * 32,
        "287082",
        "a" * 60_000,
    ],
)
def test_what_is_no_code_is_none(text: str) -> None:
    assert recovery_codes.read(text) is None
