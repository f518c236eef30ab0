"""Settings by themselves: nothing is opened but files."""

from cypher.config import Config, Secret
from cypher.doctor.checks.addresses import postgres_elsewhere, redis_elsewhere, redis_on_tcp
from cypher.doctor.findings import Found, problem, warning
from cypher.doctor.patient import Patient
from cypher.master_password import looks_generated

#: What .env.example and documents show, and what everybody tries first.
EXAMPLES = frozenset(
    {
        "change_this_password",
        "optional_redis_password",
        "your_super_secure_master_password",
        "changeme",
        "cypher",
        "password",
        "postgres",
        "redis",
        "secret",
    }
)
SHORTEST = 12


async def check_settings(at: Patient) -> Found:
    """Every setting can be read."""
    for sentence in at.refused:
        yield problem(f"{sentence}.")


async def check_example_passwords(at: Patient) -> Found:
    """No password is one that stands in a document, or is too short."""
    for name, secret in passwords_of(at.given):
        value = secret.reveal().strip().casefold()
        if value in EXAMPLES or value in (at.given.postgres.user, at.given.postgres.migration_user):
            yield problem(f"{name} is one that everybody tries first: draw another with openssl rand -base64 24.")
        elif len(value) < SHORTEST:
            yield warning(f"{name} has fewer than {SHORTEST} characters: draw one with openssl rand -base64 24.")


async def check_reused_passwords(at: Patient) -> Found:
    """No two passwords are the same."""
    named: dict[str, str] = {}
    master = at.given.keys.master_password
    for name, secret in (*passwords_of(at.given), *((("MASTER_ENCRYPTION_PASSWORD", master),) if master else ())):
        other = named.setdefault(secret.reveal(), name)
        if other != name:
            yield problem(f"{name} is the same as {other}: who learns one has both. Draw one for each.")


async def check_missing_passwords(at: Patient) -> Found:
    """Servers that others could reach ask for a password."""
    postgres, redis = at.config.postgres, at.config.redis
    if postgres_elsewhere(postgres) and not (postgres.password or postgres.sslcert):
        yield warning(
            "POSTGRES_PASSWORD is not set, nor a certificate, and PostgreSQL is another machine: if it lets us in all "
            "the same, it lets in others."
        )
    if redis_on_tcp(redis) and not redis.password:
        what = problem if redis_elsewhere(redis) else warning
        yield what(
            "Redis is reached without a password: whoever reaches its port can delete what revokes sessions and counts "
            "attempts. Set requirepass there and REDIS_PASSWORD here."
        )


async def check_master_password(at: Patient) -> Found:
    """The master password looks drawn at random."""
    password = at.given.keys.master_password
    if password is not None and not looks_generated(password.reveal()):
        yield warning(
            "MASTER_ENCRYPTION_PASSWORD looks thought up: with a dump and the key store it can be guessed at, without "
            "end. Draw one with openssl rand -base64 32, and run `cypher keys change-master`."
        )


async def check_env_file(at: Patient) -> Found:
    """Nobody else can read .env."""
    if at.dotenv.exists() and at.dotenv.stat().st_mode & 0o007:
        yield problem(f"{at.dotenv} can be read by every user of this machine: chmod 600 {at.dotenv}.")


async def check_embedded(at: Patient) -> Found:
    """PostgreSQL and Redis are servers of your own."""
    embedded = [name for name, config in _servers(at.given) if config]
    if embedded:
        yield warning(
            f"Embedded mode is in use ({' and '.join(embedded)}), where data, keys and their password lie side by "
            "side: it protects no disk. For more than trying, set POSTGRES_HOST and REDIS_URL."
        )


def passwords_of(config: Config) -> list[tuple[str, Secret]]:
    """Return the passwords of servers, with the names of their settings."""
    webhook = config.recovery.webhook
    found = [
        ("POSTGRES_PASSWORD", config.postgres.password),
        ("POSTGRES_MIGRATION_PASSWORD", config.postgres.migration_password),
        ("REDIS_PASSWORD", config.redis.password),
        ("RECOVERY_WEBHOOK_SECRET", webhook.secret if webhook else None),
    ]
    return [(name, secret) for name, secret in found if secret]


def _servers(config: Config) -> list[tuple[str, bool]]:
    return [("PostgreSQL", config.postgres.embedded), ("Valkey", config.redis.embedded)]
