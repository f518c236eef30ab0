"""What aiohttp lets through of a request's head, and HTTP/1.1 (RFC 9112) does not.

Two readers that disagree about one request are how a second one gets past the first of them.
"""

import re

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from cypher.errors import BadRequest

VERSIONS = (HttpVersion10, HttpVersion11)
#: A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port (RFC 3986, section 3.2). It may be empty.
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")


def require_sound_head(request: web.Request) -> None:
    """Raise BadRequest for another version than 1.0 and 1.1, a fragment in the target, or a `Host` that is none."""
    if request.version not in VERSIONS or "#" in request.raw_path:
        raise BadRequest
    if not HOST.fullmatch(request.headers.get(hdrs.HOST, "")):
        raise BadRequest


def wants_another_protocol(request: web.Request) -> bool:
    """Tell whether what follows this request may be something else than HTTP/1.1. It never is: nothing is upgraded."""
    return hdrs.UPGRADE in request.headers or request.method == hdrs.METH_CONNECT
