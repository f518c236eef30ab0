"""Codes as RFC 6238 has them, and no other way to write one."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from cypher.auth import totp

#: RFC 6238, appendix B, for SHA-1. The codes there have eight digits; with six, the last six are the same.
SECRET = b"12345678901234567890"
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.step_of(SECRET, code[-6:], at(seconds)) == seconds // 30


def test_a_code_is_good_from_one_step_before_to_one_step_after() -> None:
    step, code = 1234567890 // 30, "005924"
    begin = at(step * 30)
    for offset, good in ((-31, False), (-30, True), (0, True), (29.999, True), (59.999, True), (60, False)):
        found = totp.step_of(SECRET, code, begin + timedelta(seconds=offset))
        assert found == (step if good else None), offset


@pytest.mark.parametrize(
    "code",
    [
        "",
        "94287082",
        "28708",
        " 287082",
        "287082 ",
        "287 082",
        "287-082",
        "287082\n",
        "+287082",
        "2_8_7_0",
        "\uff12\uff18\uff17\uff10\uff18\uff12",
        "\u0662\u0668\u0667\u0660\u0668\u0662",
        "28708\u00b2",
        "2\u20e387082",
        "\U0001d7da\U0001d7e0\U0001d7df\U0001d7d8\U0001d7e0\U0001d7da",
        "0x4616a",
        "287082\x00",
        "2" * 60_000,
    ],
)
def test_a_code_has_six_ascii_digits_and_nothing_else(code: str) -> None:
    assert totp.step_of(SECRET, "287082", at(59)) == 1
    assert totp.step_of(SECRET, code, at(59)) is None


def test_of_two_steps_with_one_code_the_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp.pyotp.TOTP, "verify", lambda self, code, for_time: code == "000000")
    assert totp.step_of(SECRET, "000000", at(3000)) == 101


def test_secrets_have_160_bits_and_are_drawn_anew() -> None:
    drawn = {totp.new_secret() for _ in range(100)}
    assert len(drawn) == 100
    assert {len(secret) for secret in drawn} == {20}
    assert re.fullmatch(r"[A-Z2-7]{32}", totp.base32(drawn.pop()))


@pytest.mark.parametrize("username", ["ada", "zoë.example", "a:b%20&secret=x", "名前" * 20])
def test_the_uri_holds_what_an_app_needs(username: str) -> None:
    uri = urlsplit(totp.otpauth_uri(SECRET, username, "login.example.org"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == f"/login.example.org:{username}"
    assert uri.path.count(":") == 1
    query = parse_qs(uri.query, strict_parsing=True)
    assert query["secret"] == [totp.base32(SECRET)]
    assert query["issuer"] == ["login.example.org"]


@pytest.mark.parametrize(
    ("origin", "issuer"),
    [
        ("https://login.example.org", "login.example.org"),
        ("http://127.0.0.1:8080", "127.0.0.1"),
        ("http://[::1]:8080", "..1"),
    ],
)
def test_the_issuer_is_the_host_of_the_origin_and_has_no_colon(origin: str, issuer: str) -> None:
    assert totp.issuer_of(origin) == issuer


@pytest.mark.parametrize("username", ["ada", "\U00020000" * 63])
def test_the_qr_code_is_an_svg_of_paths_that_stands_by_itself(username: str) -> None:
    drawn = totp.qr_svg(totp.otpauth_uri(SECRET, username, "login.example.org"))
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "g", "path"}
    assert len(drawn) < 30_000
