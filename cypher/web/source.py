"""Who sends a request: its address, its user agent, its bearer token, its request id.

All of it is chosen by the client until shown otherwise: cut, checked and made canonical here.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from aiohttp import hdrs, web

from cypher.auth.source import Address, Source, address_of
from cypher.clock import new_bytes
from cypher.config import Network
from cypher.errors import Unauthenticated
from cypher.web.keys import HTTP, OPERATOR, REQUEST_ID

REQUEST_ID_HEADER = "X-Request-Id"
FORWARDED_FOR = "X-Forwarded-For"
#: Enough for every real one; the rest would only fill the database.
USER_AGENT_LENGTH = 512
REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{8,64}")
#: RFC 6750, section 2.1; the scheme's name in any case (RFC 9110, section 11.1).
BEARER_FORM = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
#: A peer without an address: a UNIX socket.
NOWHERE = IPv4Address(0)


def request_id_of(request: web.BaseRequest) -> str:
    """Return the caller's request id when it has the agreed form, else 32 new hexadecimal digits."""
    sent = request.headers.get(REQUEST_ID_HEADER)
    if sent is not None and REQUEST_ID_FORM.fullmatch(sent):
        return sent
    return new_bytes(16).hex()


def bearer_of(request: web.Request) -> str:
    """Return the bearer token; raise Unauthenticated without one, with another scheme or with two headers.

    Two `Authorization` headers are refused, not picked from: a proxy in front may have looked at the other one.
    """
    sent = request.headers.getall(hdrs.AUTHORIZATION, ())
    found = BEARER_FORM.fullmatch(sent[0]) if len(sent) == 1 else None
    if found is None:
        raise Unauthenticated
    return found[1]


def is_on_this_machine(request: web.Request) -> bool:
    """Tell whether a program on the same machine asks for itself: a proxy there asks for somebody else."""
    peer = address_of((request.remote or "").partition("%")[0])
    is_forwarded = any(name in request.headers for name in (hdrs.FORWARDED, FORWARDED_FOR))
    return peer is not None and peer.is_loopback and not is_forwarded


def source_of(request: web.Request) -> Source:
    """Return where this request comes from, through `TRUSTED_PROXIES` only."""
    forwarded = request.headers.getall(FORWARDED_FOR, ())
    address = client_address(request.remote, forwarded, request.app[HTTP].trusted_proxies)
    agent = _printable(request.headers.get(hdrs.USER_AGENT, ""))
    return Source(address=address, user_agent=agent, request_id=request[REQUEST_ID], operator=request.get(OPERATOR))


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the canonical address of the client behind `peer`, the other end of the socket.

    `forwarded` holds the values of X-Forwarded-For in their order. It is read from its end, one step for each
    trusted proxy, and no further than the first entry that is not an address: what stands before it is hearsay.
    """
    # The peer of a link-local socket has a zone, which says nothing on another machine.
    address = address_of((peer or "").partition("%")[0]) or NOWHERE
    hops = [hop.strip() for value in forwarded for hop in value.split(",")] if trusted else []
    while hops and _is_trusted(address, trusted):
        hop = address_of(hops.pop())
        if hop is None:
            break
        address = hop
    return str(address)


def _is_trusted(address: Address, trusted: Iterable[Network]) -> bool:
    return any(address in network for network in trusted)


def _printable(text: str) -> str:
    """Cut a header to size; what is no character of UTF-8, or not printable, becomes U+FFFD."""
    decoded = text[:USER_AGENT_LENGTH].encode(errors="surrogateescape").decode(errors="replace")
    if not decoded.isprintable():
        decoded = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in decoded)
    return decoded[:USER_AGENT_LENGTH]
