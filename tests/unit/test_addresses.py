"""Whose budget an address uses: one text for all that names the same sender."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cypher.auth.source import address_of, bucket_of


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::9", "2001:db8::/64"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2%anything else", "fe80::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
    ],
)
def test_every_form_of_an_address_is_one_bucket(text: str, bucket: str) -> None:
    assert bucket_of(text) == bucket


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_its_own_bucket_in_whichever_family_it_comes(address: IPv4Address) -> None:
    assert bucket_of(str(address)) == bucket_of(f"::ffff:{address}") == str(address)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_of_one_ipv6_network_is_one_bucket_however_it_is_written(address: IPv6Address, low: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | low)
    if address.ipv4_mapped or neighbour.ipv4_mapped:
        return
    bucket = bucket_of(str(address))
    assert bucket == bucket_of(neighbour.exploded.upper()) == bucket_of(bucket)
    assert address in IPv6Network(bucket)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f.0.0.1", "010.0.0.1", "2130706433", " 192.0.2.1", "192.0.2.0/24", "::1::2"]
)
def test_what_only_some_readers_take_for_an_address_is_none(text: str) -> None:
    assert address_of(text) is None
    with pytest.raises(ValueError, match="not an address"):
        bucket_of(text)
