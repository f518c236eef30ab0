"""The files of TLS that settings name: whether they are what they should be, for how long, and who can read them."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from cypher.crypto.certificates import ends_of
from cypher.doctor.findings import Found, problem, warning
from cypher.doctor.patient import Patient

SOON = timedelta(days=21)


async def check_certificates(at: Patient) -> Found:
    """The certificates that settings name hold for three weeks and more."""
    now = at.clock.now()
    for name, file in _files(at, "sslrootcert", "sslcert", "ssl_ca_certs", "ssl_certfile"):
        try:
            ends = ends_of(file)
        except (OSError, ValueError):
            yield problem(f"{name} names {file}, which holds no certificate in PEM.")
            continue
        # Of a bundle one that holds is enough; of a chain the first is our own.
        end = max(ends) if name in ("POSTGRES_SSLROOTCERT", "ssl_ca_certs in REDIS_URL") else ends[0]
        if end <= now + SOON:
            what = problem if end <= now else warning
            yield what(f"The certificate of {name} ({file}) holds until {end:%Y-%m-%d}: put a new one there.")


async def check_private_keys(at: Patient) -> Found:
    """Nobody else can read the keys of certificates that settings name."""
    for name, file in _files(at, "sslkey", "ssl_keyfile"):
        if file.exists() and file.stat().st_mode & 0o077:
            yield problem(f"{name} names {file}, which other users can read: chmod 600 {file}.")


def _files(at: Patient, *wanted: str) -> list[tuple[str, Path]]:
    postgres, redis = at.config.postgres, at.config.redis
    named = [(key, f"POSTGRES_{key.upper()}", value) for key, value in postgres.tls().items()]
    options = parse_qsl(urlsplit(redis.url or "").query)
    named += [(key, f"{key} in REDIS_URL", value) for key, value in options]
    return [(name, Path(value)) for key, name, value in named if key in wanted]
