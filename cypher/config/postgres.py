"""Where the truth is kept."""

from dataclasses import dataclass, replace
from pathlib import Path

from cypher.settings import Secret, SettingsReader

#: Those of the second kind never go on without TLS, those of the third know the server by its certificate.
ADVISORY = ("disable", "allow", "prefer")
VERIFYING = ("verify-ca", "verify-full")
SSL_MODES = (*ADVISORY, "require", *VERIFYING)


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
    sslrootcert: Path | None = None  #: certificates of those who may have signed the server's
    sslcert: Path | None = None  #: our own, with its key, for a server that asks for one
    sslkey: Path | None = None
    pooled: bool = False  #: whether a pooler in between lends a connection for one transaction only
    pool_max: int = 20
    acquire_seconds: float = 1.0  #: until one of the pool's connections is free
    connect_seconds: float = 2.0
    statement_seconds: float = 2.0
    lock_seconds: float = 0.5

    @property
    def embedded(self) -> bool:
        return not self.hosts

    def tls(self) -> dict[str, str]:
        """Return what is set of TLS by libpq's names, which both drivers take."""
        given = {
            "sslmode": self.sslmode,
            "sslrootcert": self.sslrootcert,
            "sslcert": self.sslcert,
            "sslkey": self.sslkey,
        }
        return {name: str(value) for name, value in given.items() if value}

    @property
    def needs_tls(self) -> bool:
        """Say whether nobody is to be met without."""
        return self.sslmode is not None and self.sslmode not in ADVISORY

    def as_owner(self) -> "PostgresConfig":
        """Return the same database as the owner of its schema reaches it."""
        if self.migration_user is None:
            return self
        return replace(self, user=self.migration_user, password=self.migration_password)


def read_postgres(read: SettingsReader) -> PostgresConfig:
    return replace(
        _read_server(read),
        pool_max=read.number("POSTGRES_POOL_MAX", 20, low=1, high=1000),
        acquire_seconds=read.milliseconds("POSTGRES_ACQUIRE_MS", 1000),
        connect_seconds=read.milliseconds("POSTGRES_CONNECT_MS", 2000),
        statement_seconds=read.milliseconds("POSTGRES_STATEMENT_MS", 2000),
        lock_seconds=read.milliseconds("POSTGRES_LOCK_MS", 500),
    )


def _read_server(read: SettingsReader) -> PostgresConfig:
    hosts = read.items("POSTGRES_HOST")
    if not hosts:
        return PostgresConfig()
    user, database = read.text("POSTGRES_USER"), read.text("POSTGRES_DB")
    for name, value in (("POSTGRES_USER", user), ("POSTGRES_DB", database)):
        if value is None:
            read.refuse(f"{name} is needed when POSTGRES_HOST is set")
    migration_user = read.text("POSTGRES_MIGRATION_USER")
    migration_password = read.secret("POSTGRES_MIGRATION_PASSWORD")
    if migration_password and not migration_user:
        read.refuse("POSTGRES_MIGRATION_PASSWORD is set without POSTGRES_MIGRATION_USER")
    server = PostgresConfig(
        hosts=hosts,
        port=read.number("POSTGRES_PORT", 5432, low=1, high=65_535),
        user=user or "",
        password=read.secret("POSTGRES_PASSWORD"),
        database=database or "",
        migration_user=migration_user,
        migration_password=migration_password,
        pooled=read.choice("POSTGRES_POOLER", "off", ("off", "transaction")) == "transaction",
    )
    return _with_tls(read, server)


def _with_tls(read: SettingsReader, server: PostgresConfig) -> PostgresConfig:
    """Add how the server is met. A certificate that would be left aside in silence is refused."""
    mode = read.choice("POSTGRES_SSLMODE", "", SSL_MODES)
    root, certificate = read.file("POSTGRES_SSLROOTCERT"), read.file("POSTGRES_SSLCERT")
    key = read.file("POSTGRES_SSLKEY")
    mode = mode or ("verify-full" if root else "")
    if root and mode not in VERIFYING:
        read.refuse("POSTGRES_SSLROOTCERT needs POSTGRES_SSLMODE to be verify-full or verify-ca")
    if (certificate is None) != (key is None):
        read.refuse("POSTGRES_SSLCERT and POSTGRES_SSLKEY are needed together")
    if certificate and mode in ("", *ADVISORY):
        read.refuse("POSTGRES_SSLCERT needs POSTGRES_SSLMODE to be require or more: others go on without TLS")
    return replace(server, sslmode=mode or None, sslrootcert=root, sslcert=certificate, sslkey=key)
