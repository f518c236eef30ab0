"""All settings as frozen records, read once at the start; the only reader of the environment.

Nothing is opened and nothing is created here: what an embedded server fills in later is left None.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from cypher.errors import SettingsRefused
from cypher.limits import LimitsConfig, read_limits
from cypher.settings import Secret as Secret
from cypher.settings import SettingsReader

Network = IPv4Network | IPv6Network

MASTER_PASSWORD_LENGTH = 32
#: What documents show for the master password. Long enough to pass by length, known to everybody.
EXAMPLE_PASSWORDS = frozenset({"your_super_secure_master_password"})
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
REDIS_SCHEMES = ("redis", "rediss", "unix")
#: Anything else in the query of REDIS_URL could override a time-out or carry a password into a log.
REDIS_OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?/?")
DAY = 86_400
#: Ten years: far beyond any sensible session, far below what a timestamp can hold.
LONGEST = 3650 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresConfig:
    """Where the truth is kept. No hosts: embedded. A host that begins with `/` is a socket's directory."""

    hosts: tuple[str, ...] = ()
    port: int = 5432
    user: str = "cypher"
    password: Secret | None = None
    database: str = "cypher"
    migration_user: str | None = None
    migration_password: Secret | None = None
    sslmode: str | None = None
    pool_max: int = 20

    @property
    def embedded(self) -> bool:
        return not self.hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """Where the cache is. No url: embedded. The url never holds the password."""

    url: str | None = None
    password: Secret | None = None

    @property
    def embedded(self) -> bool:
        return self.url is None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysConfig:
    """The key store and when its keys are due; no master password only while PostgreSQL is embedded."""

    master_password: Secret | None
    store: Literal["directory"]
    path: Path
    rotation_age: timedelta
    rotation_operations: int
    destroy_delay: timedelta
    reencrypt_background: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The public listener; `public_origin` is scheme, host and port without a trailing slash."""

    host: str
    port: int
    public_origin: str
    trusted_proxies: tuple[Network, ...]
    access_token_audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsConfig:
    """How long each thing lives."""

    access_token: timedelta
    refresh_grace: timedelta
    idle: timedelta
    absolute: timedelta
    cache: timedelta
    login_flow: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["human", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    postgres: PostgresConfig
    redis: RedisConfig
    keys: KeysConfig
    http: HttpConfig
    sessions: SessionsConfig
    limits: LimitsConfig
    registration: Literal["open", "closed"]
    embedded_path: Path
    log: LogConfig


def load(environ: Mapping[str, str], dotenv: Path | None) -> Config:
    """Read every setting; raise `SettingsRefused` with all that is wrong, never only with the first."""
    read = SettingsReader(environ, dotenv)
    embedded_path = Path(read.text("EMBEDDED_PATH") or ".cypher")
    postgres = _postgres(read)
    config = Config(
        postgres=postgres,
        redis=_redis(read),
        keys=_keys(read, embedded_path / "keys" if postgres.embedded else None),
        http=_http(read),
        sessions=_sessions(read),
        limits=read_limits(read),
        registration=read.choice("REGISTRATION", "open", ("open", "closed")),
        embedded_path=embedded_path,
        log=_log(read),
    )
    if read.problems:
        raise SettingsRefused(read.problems)
    return config


def _postgres(read: SettingsReader) -> PostgresConfig:
    hosts = read.items("POSTGRES_HOST")
    if not hosts:
        return PostgresConfig(pool_max=_pool_max(read))
    user, database = read.text("POSTGRES_USER"), read.text("POSTGRES_DB")
    for name, value in (("POSTGRES_USER", user), ("POSTGRES_DB", database)):
        if value is None:
            read.refuse(f"{name} is needed when POSTGRES_HOST is set")
    migration_user = read.text("POSTGRES_MIGRATION_USER")
    migration_password = read.secret("POSTGRES_MIGRATION_PASSWORD")
    if migration_password and not migration_user:
        read.refuse("POSTGRES_MIGRATION_PASSWORD is set without POSTGRES_MIGRATION_USER")
    return PostgresConfig(
        hosts=hosts,
        port=read.number("POSTGRES_PORT", 5432, low=1, high=65_535),
        user=user or "",
        password=read.secret("POSTGRES_PASSWORD"),
        database=database or "",
        migration_user=migration_user,
        migration_password=migration_password,
        sslmode=read.choice("POSTGRES_SSLMODE", "", SSL_MODES) or None,
        pool_max=_pool_max(read),
    )


def _pool_max(read: SettingsReader) -> int:
    return read.number("POSTGRES_POOL_MAX", 20, low=1, high=1000)


def _redis(read: SettingsReader) -> RedisConfig:
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
    return RedisConfig(url=f"redis://{_bracketed(host)}:{port}/0", password=password)


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


def _keys(read: SettingsReader, embedded_path: Path | None) -> KeysConfig:
    """`embedded_path` is where keys go when PostgreSQL is embedded; only then may they be made without being asked."""
    password, path = read.secret("MASTER_ENCRYPTION_PASSWORD"), read.text("KEY_STORE_PATH")
    if password is not None:
        check_master_password(read, "MASTER_ENCRYPTION_PASSWORD", password.reveal())
    elif embedded_path is None:
        read.refuse("MASTER_ENCRYPTION_PASSWORD is needed when POSTGRES_HOST is set")
    if path is None and embedded_path is None:
        read.refuse("KEY_STORE_PATH is needed when POSTGRES_HOST is set")
    return KeysConfig(
        master_password=password,
        store=read.choice("KEY_STORE", "directory", ("directory",)),
        path=Path(path) if path else embedded_path or Path(),
        rotation_age=timedelta(days=read.number("KEY_ROTATION_DAYS", 90, low=1, high=3650)),
        rotation_operations=read.number("KEY_ROTATION_OPERATIONS", 1_000_000, low=1, high=10**12),
        # Another process may go on sealing for 30 s with a key that has left `active`, in a transaction that lasts.
        destroy_delay=read.seconds("KEY_DESTROY_DELAY_SECONDS", 600, low=60, high=LONGEST),
        reencrypt_background=read.choice("REENCRYPT_BACKGROUND", "on", ("on", "off")) == "on",
    )


def check_master_password(read: SettingsReader, name: str, password: str) -> None:
    """Refuse a password that could be guessed; `name` is what the operator calls it."""
    if len(password) < MASTER_PASSWORD_LENGTH:
        read.refuse(f"{name} must have {MASTER_PASSWORD_LENGTH} characters or more")
    if password.strip().casefold() in EXAMPLE_PASSWORDS:
        read.refuse(f"{name} is the example from the documentation: draw your own")


def _http(read: SettingsReader) -> HttpConfig:
    host, port = read.text("HOST") or "127.0.0.1", read.number("PORT", 8080, low=1, high=65_535)
    origin = _origin(read) or f"http://{_bracketed(host)}:{port}"
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


def _sessions(read: SettingsReader) -> SessionsConfig:
    idle = read.seconds("SESSION_IDLE_SECONDS", 7 * DAY, low=60, high=LONGEST)
    absolute = read.seconds("SESSION_ABSOLUTE_SECONDS", 30 * DAY, low=60, high=LONGEST)
    if idle > absolute:
        read.refuse("SESSION_IDLE_SECONDS must not be greater than SESSION_ABSOLUTE_SECONDS")
    return SessionsConfig(
        access_token=read.seconds("ACCESS_TOKEN_SECONDS", 300, low=1, high=3600),
        refresh_grace=read.seconds("REFRESH_GRACE_SECONDS", 10, low=0, high=60),
        idle=idle,
        absolute=absolute,
        # 30 s is the bound within which a revocation must hold everywhere, whatever a cache says.
        cache=read.seconds("SESSION_CACHE_SECONDS", 30, low=1, high=30),
        login_flow=read.seconds("LOGIN_FLOW_SECONDS", 60, low=1, high=600),
    )


def _log(read: SettingsReader) -> LogConfig:
    return LogConfig(
        level=read.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        format=read.choice("LOG_FORMAT", "human" if sys.stderr.isatty() else "json", ("human", "json")),
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
