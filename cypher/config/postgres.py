"""Where the truth is kept."""

from dataclasses import dataclass, replace

from cypher.settings import Secret, SettingsReader

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


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
    acquire_seconds: float = 1.0  #: until one of the pool's connections is free
    connect_seconds: float = 2.0
    statement_seconds: float = 2.0
    lock_seconds: float = 0.5

    @property
    def embedded(self) -> bool:
        return not self.hosts

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
    return PostgresConfig(
        hosts=hosts,
        port=read.number("POSTGRES_PORT", 5432, low=1, high=65_535),
        user=user or "",
        password=read.secret("POSTGRES_PASSWORD"),
        database=database or "",
        migration_user=migration_user,
        migration_password=migration_password,
        sslmode=read.choice("POSTGRES_SSLMODE", "", SSL_MODES) or None,
    )
