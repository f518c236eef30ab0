"""The public listener, and what browsers and token issuers see of it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from cypher.settings import SettingsReader, bracketed

Network = IPv4Network | IPv6Network

ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The public listener; `public_origin` is scheme, host and port without a trailing slash."""

    host: str
    port: int
    public_origin: str
    trusted_proxies: tuple[Network, ...]
    access_token_audience: str


def read_http(read: SettingsReader) -> HttpConfig:
    host, port = read.text("HOST") or "127.0.0.1", read.number("PORT", 8080, low=1, high=65_535)
    origin = _origin(read) or f"http://{bracketed(host)}:{port}"
    return HttpConfig(
        host=host,
        port=port,
        public_origin=origin,
        trusted_proxies=_networks(read),
        access_token_audience=read.text("ACCESS_TOKEN_AUDIENCE") or origin,
    )


def _origin(read: SettingsReader) -> str | None:
    value = read.text("PUBLIC_ORIGIN")
    if value is None:
        return None
    if not ORIGIN.fullmatch(value.lower()):
        read.refuse("PUBLIC_ORIGIN must be http:// or https://, a host and perhaps a port, and nothing after it")
    return value.lower().removesuffix("/")


def _networks(read: SettingsReader) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(item) for item in read.items("TRUSTED_PROXIES"))
    except ValueError:
        read.refuse(
            "TRUSTED_PROXIES must be addresses or networks (10.0.0.0/8, without host bits), with commas between"
        )
        return ()
