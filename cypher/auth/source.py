"""Where a request comes from: what a session remembers, the audit trail seals and a limiter counts."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from uuid import UUID

Address = IPv4Address | IPv6Address

#: What one household or one server is given (RFC 6177): whoever has one address of it has all of them.
IPV6_PREFIX = 64
#: Texts that are remembered as read: a request's address is asked for several times, at 3 µs each.
REMEMBERED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The sender of one request, as the web layer saw it."""

    address: str  #: IPv4 or IPv6 in canonical form
    user_agent: str  #: as sent, cut to 512 characters
    request_id: str
    operator: UUID | None = None  #: the service token of an operator, who is then the one that acts


@lru_cache(REMEMBERED)
def address_of(text: str) -> Address | None:
    """Return the address that `text` names in any of its forms, or None.

    An IPv4-mapped one (RFC 4291, section 2.5.5.2) is the IPv4 address. A zone ("fe80::1%anything") is free text and
    refused, so are forms that only some readers know ("010.0.0.1", "127.1").
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address


@lru_cache(REMEMBERED)
def bucket_of(text: str) -> str:
    """Return whose budget an address uses: an IPv4 address, or an IPv6 network of 64 bits as "2001:db8::/64".

    One text for all forms of an address; a bucket is its own bucket. Raises ValueError for what is no address.
    """
    address = address_of(text.removesuffix(f"/{IPV6_PREFIX}").partition("%")[0])
    if address is None:
        raise ValueError("not an address")
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, IPV6_PREFIX), strict=False))
