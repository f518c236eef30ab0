"""The public listener, and what browsers and token issuers see of it."""

import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network

from cypher.settings import SettingsReader, bracketed

Network = IPv4Network | IPv6Network

ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?")
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The public listener; an origin is scheme, host and port as a browser sends it, without a trailing slash."""

    host: str
    port: int
    public_origin: str
    allowed_origins: frozenset[str]
    trusted_proxies: tuple[Network, ...]
    access_token_audience: str
    shutdown_delay: timedelta = timedelta(seconds=2)  #: between being ready no more and accepting no more
    is_shared: bool = False  #: whether other processes of ours listen on the same port; set for workers, by no setting


def read_http(read: SettingsReader) -> HttpConfig:
    host, port = read.text("HOST") or "127.0.0.1", read.number("PORT", 8080, low=1, high=65_535)
    origin = _public_origin(read) or _written("http", bracketed(host), port)
    return HttpConfig(
        host=host,
        port=port,
        public_origin=origin,
        allowed_origins=_allowed_origins(read),
        trusted_proxies=_networks(read),
        access_token_audience=read.text("ACCESS_TOKEN_AUDIENCE") or origin,
        shutdown_delay=read.seconds("SHUTDOWN_DELAY_SECONDS", 2, low=0, high=60),
    )


def _public_origin(read: SettingsReader) -> str | None:
    value = read.text("PUBLIC_ORIGIN")
    if value is None:
        return None
    origin = _origin(value)
    if origin is None:
        read.refuse("PUBLIC_ORIGIN must be http:// or https://, a host and perhaps a port, and nothing after it")
    return origin


def _allowed_origins(read: SettingsReader) -> frozenset[str]:
    """Read the list; `*` and `null` are refused by the form: neither says whose page may call."""
    origins = [_origin(item) for item in read.items("ALLOWED_ORIGINS")]
    if None in origins:
        read.refuse(
            "ALLOWED_ORIGINS must be exact origins (https://app.example.com), with commas between; no * and no null"
        )
    return frozenset(origin for origin in origins if origin is not None)


def _origin(text: str) -> str | None:
    """Return an origin as browsers write it (RFC 6454, section 6.2), so that comparing is `==`; None for no origin."""
    match = ORIGIN.fullmatch(text.lower())
    if match is None or not 1 <= int(match[3] or "1") <= 65_535:
        return None
    return _written(match[1], match[2], int(match[3] or DEFAULT_PORTS[match[1]]))


def _written(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{host}" if port == DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def _networks(read: SettingsReader) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(item) for item in read.items("TRUSTED_PROXIES"))
    except ValueError:
        read.refuse(
            "TRUSTED_PROXIES must be addresses or networks (10.0.0.0/8, without host bits), with commas between"
        )
        return ()
