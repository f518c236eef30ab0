from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from cypher.errors import Unauthenticated
from cypher.web.source import _printable, bearer_of, client_address, request_id_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # a stranger may claim what it likes
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["6.6.6.6, junk"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, junk, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["010.1.1.1"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("fd00::1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("fd00::1", ["fe80::1%<script>"], "fd00::1"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("", [], "0.0.0.0"),
        (None, [], "0.0.0.0"),
    ],
)
def test_the_address_comes_through_trusted_proxies_only(peer: str | None, forwarded: list[str], address: str):
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_trusted_proxies_the_header_is_not_read():
    assert client_address("10.0.0.1", ["198.51.100.7"], ()) == "10.0.0.1"


@given(st.lists(st.text()))
def test_no_header_makes_an_address_that_is_none(forwarded: list[str]):
    assert len(client_address("10.0.0.1", forwarded, PROXIES)) <= 45


@pytest.mark.parametrize("value", ["Bearer abc", "bearer abc", "BEARER  a.b-c_d~e+f/g=="])
def test_a_bearer_token_is_read(value: str):
    request = make_mocked_request("GET", "/", headers={"Authorization": value})
    assert bearer_of(request) == value.split()[1]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["abc"],
        ["Basic abc"],
        ["Bearer a b"],
        ["Bearer a,b"],
        ["Bearer é"],
        ["Bearer abc\n"],
        ["Bearer abc", "Bearer abc"],
        ["Bearer abc", "Basic abc"],
    ],
)
def test_anything_else_is_no_proof(values: list[str]):
    request = make_mocked_request("GET", "/", headers=CIMultiDict(("Authorization", value) for value in values))
    with pytest.raises(Unauthenticated):
        bearer_of(request)


@pytest.mark.parametrize(
    ("sent", "kept"), [("a" * 8, True), ("A.b_c-9" * 9, True), ("a" * 7, False), ("a" * 65, False)]
)
def test_a_request_id_is_kept_when_it_has_the_agreed_form(sent: str, kept: bool):
    assert (request_id_of(make_mocked_request("GET", "/", headers={"X-Request-Id": sent})) == sent) is kept


@pytest.mark.parametrize("sent", ["abcdefgh\n", "abcdefg é", "abcdefgh<", "\u0661" * 8])
def test_a_request_id_of_another_form_is_replaced(sent: str):
    replaced = request_id_of(make_mocked_request("GET", "/", headers={"X-Request-Id": sent}))
    assert len(replaced) == 32


def test_request_ids_differ():
    assert len({request_id_of(make_mocked_request("GET", "/")) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Mozilla/5.0", "Mozilla/5.0"),
        ("a\tb\x1b[31m", "a\ufffdb\ufffd[31m"),
        (b"caf\xc3\xa9".decode("utf-8", "surrogateescape"), "café"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\ufffd"),
        ("\u202eevil", "\ufffdevil"),
    ],
)
def test_a_user_agent_is_made_printable(sent: str, shown: str):
    assert _printable(sent) == shown


@given(st.binary())
def test_every_user_agent_fits_the_database(sent: bytes):
    shown = _printable(sent.decode("utf-8", "surrogateescape"))
    assert len(shown) <= 512
    assert "\x00" not in shown.encode().decode()
