"""Where the cache is: one server, the primary that Sentinels name, or a cluster."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from cypher.settings import Secret, SettingsReader, bracketed, is_readable

PORT = 6379
SENTINEL_PORT = 26_379

ONE_SERVER = ("redis", "rediss", "unix")
SENTINELS = ("redis+sentinel", "rediss+sentinel")
CLUSTER = ("redis+cluster", "rediss+cluster")
#: More than anybody runs for one primary.
MOST_REPLICAS = 9
#: Anything else in the query of REDIS_URL could override a time-out or carry a password into a log.
TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
OPTIONS = TLS_OPTIONS | {"db"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """Where the cache is. No url: embedded. The url never holds the password.

    `redis+sentinel://[user@]host:port,host:port/name[/database]` names Sentinels and what they call the primary,
    `redis+cluster://[user@]host:port,host:port` some nodes of a cluster; with `rediss` all of them are met with TLS.
    """

    url: str | None = None
    password: Secret | None = None
    connect_seconds: float = 0.2
    command_seconds: float = 0.25
    wait_replicas: int = 0  #: so many must have it when a session was ended, or its end is not confirmed

    @property
    def embedded(self) -> bool:
        return self.url is None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServers:
    """What a url of several servers says."""

    nodes: tuple[tuple[str, int], ...]  #: some of the cluster, or the Sentinels
    primary: str | None  #: what the Sentinels call the primary; None for a cluster
    each: str  #: a url with scheme, user, database and options, as every one of them is met


def servers_of(url: str) -> RedisServers | None:
    """Return the servers that a url of a RedisConfig names, None where it is one server.

    Raises ValueError for a url that is none, or misses what its scheme needs.
    """
    parts = urlsplit(url)
    if parts.scheme not in (*SENTINELS, *CLUSTER):
        return None
    watched = parts.scheme in SENTINELS
    user, at, places = parts.netloc.rpartition("@")
    nodes = tuple(_node(place, SENTINEL_PORT if watched else PORT) for place in places.split(","))
    name, _, database = parts.path.removeprefix("/").partition("/")
    if watched != bool(name) or not (database or "0").isdecimal():
        raise ValueError("a primary's name is missing, or not wanted")
    query = f"?{parts.query}" if parts.query else ""
    host, port = nodes[0]
    each = f"{parts.scheme.partition('+')[0]}://{user}{at}{bracketed(host)}:{port}/{database}{query}"
    return RedisServers(nodes=nodes, primary=unquote(name) or None, each=each)


def _node(place: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise ValueError("a host is missing")
    return parts.hostname, parts.port or port


def read_redis(read: SettingsReader) -> RedisConfig:
    server = _read_server(read)
    # Where somebody promotes a replica, it must know who was logged out.
    fails_over = (server.url or "").partition(":")[0] in (*SENTINELS, *CLUSTER)
    return replace(
        server,
        connect_seconds=read.milliseconds("REDIS_CONNECT_MS", 200),
        command_seconds=read.milliseconds("REDIS_COMMAND_MS", 250),
        wait_replicas=read.number("REDIS_WAIT_REPLICAS", int(fails_over), low=0, high=MOST_REPLICAS),
    )


def _read_server(read: SettingsReader) -> RedisConfig:
    url, host = read.secret("REDIS_URL"), read.text("REDIS_HOST")
    port = read.number("REDIS_PORT", PORT, low=1, high=65_535)
    password = read.secret("REDIS_PASSWORD")
    if url and host:
        read.refuse("REDIS_URL and REDIS_HOST are both set: keep one")
    if url:
        return _redis_from_url(read, url.reveal(), password)
    if host is None:
        return RedisConfig()
    if any(character in host for character in "/@?#,[] "):
        read.refuse("REDIS_HOST must be one host name or address (for others: REDIS_URL)")
    return RedisConfig(url=f"redis://{bracketed(host)}:{port}/0", password=password)


def _redis_from_url(read: SettingsReader, url: str, password: Secret | None) -> RedisConfig:
    if not _names_a_server(url):
        read.refuse(
            f"REDIS_URL must name a server with one of the schemes {', '.join(ONE_SERVER)}, or Sentinels and their "
            "primary (redis+sentinel://host:port,host:port/name), or nodes of a cluster "
            "(redis+cluster://host:port,host:port)"
        )
        return RedisConfig()
    parts = urlsplit(url)
    _check_options(read, parts)
    user, _, held = parts.netloc.rpartition("@")[0].partition(":")
    if held and password:
        read.refuse("REDIS_URL holds a password and REDIS_PASSWORD is set: keep one")
    return RedisConfig(url=_without_password(parts, user), password=Secret(unquote(held)) if held else password)


def _check_options(read: SettingsReader, parts: SplitResult) -> None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= OPTIONS:
        read.refuse(f"REDIS_URL may carry only these options: {', '.join(sorted(OPTIONS))}")
    files = {name: Path(value) for name, value in options.items() if name in TLS_OPTIONS}
    if files and not parts.scheme.startswith("rediss"):
        read.refuse(f"REDIS_URL carries {', '.join(sorted(files))} without TLS: its scheme must begin with rediss")
    for name in sorted(name for name, file in files.items() if not is_readable(file)):
        read.refuse(f"REDIS_URL names a file in {name} that cannot be read")
    if ("ssl_certfile" in files) != ("ssl_keyfile" in files):
        read.refuse("REDIS_URL needs ssl_certfile and ssl_keyfile together")


def _names_a_server(url: str) -> bool:
    try:
        if servers_of(url) is not None:
            return True
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return False
    return parts.scheme in ONE_SERVER and bool(parts.path if parts.scheme == "unix" else parts.hostname)


def _without_password(parts: SplitResult, user: str) -> str:
    name, address = quote(unquote(user), safe=""), parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{name}{'@' if name else ''}{address}{parts.path}{query}"
