"""Where the cache is."""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from cypher.settings import Secret, SettingsReader, bracketed

REDIS_SCHEMES = ("redis", "rediss", "unix")
#: Anything else in the query of REDIS_URL could override a time-out or carry a password into a log.
REDIS_OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """Where the cache is. No url: embedded. The url never holds the password."""

    url: str | None = None
    password: Secret | None = None

    @property
    def embedded(self) -> bool:
        return self.url is None


def read_redis(read: SettingsReader) -> RedisConfig:
    url, host = read.secret("REDIS_URL"), read.text("REDIS_HOST")
    port = read.number("REDIS_PORT", 6379, low=1, high=65_535)
    password = read.secret("REDIS_PASSWORD")
    if url and host:
        read.refuse("REDIS_URL and REDIS_HOST are both set: keep one")
    if url:
        return _redis_from_url(read, url.reveal(), password)
    if host is None:
        return RedisConfig()
    if any(character in host for character in "/@?#,[] "):
        read.refuse("REDIS_HOST must be one host name or address (for a socket: REDIS_URL=unix:///path)")
    return RedisConfig(url=f"redis://{bracketed(host)}:{port}/0", password=password)


def _redis_from_url(read: SettingsReader, url: str, password: Secret | None) -> RedisConfig:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
        options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:
        read.refuse("REDIS_URL is not a URL")
        return RedisConfig()
    if parts.scheme not in REDIS_SCHEMES or not (parts.path if parts.scheme == "unix" else parts.hostname):
        read.refuse(f"REDIS_URL must name a server with one of the schemes: {', '.join(REDIS_SCHEMES)}")
    if not options <= REDIS_OPTIONS:
        read.refuse(f"REDIS_URL may carry only these options: {', '.join(sorted(REDIS_OPTIONS))}")
    if parts.password and password:
        read.refuse("REDIS_URL holds a password and REDIS_PASSWORD is set: keep one")
    held = Secret(unquote(parts.password)) if parts.password else password
    return RedisConfig(url=_without_password(parts), password=held)


def _without_password(parts: SplitResult) -> str:
    credentials, at, address = parts.netloc.rpartition("@")
    user = quote(unquote(credentials.partition(":")[0]), safe="")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{user}{at if user else ''}{address}{parts.path}{query}"
