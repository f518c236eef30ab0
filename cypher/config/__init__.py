"""All settings as frozen records, read once at the start; the only reader of the environment.

One module for each section: its record, and the function that reads it. Nothing is opened and nothing is created
here: what an embedded server fills in later is left None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cypher.config.audit import AuditConfig, read_audit
from cypher.config.factors import FactorsConfig, read_factors
from cypher.config.http import HttpConfig, Network, read_http
from cypher.config.keys import KeysConfig, KeyStoreKind, read_keys
from cypher.config.limits import Category, LimitsConfig, read_limits
from cypher.config.log import LogConfig, read_log
from cypher.config.operators import OperatorsConfig, read_operators
from cypher.config.postgres import PostgresConfig, read_postgres
from cypher.config.recovery import RecoveryConfig, WebhookConfig, read_recovery
from cypher.config.redis import RedisConfig, read_redis
from cypher.config.sessions import SessionsConfig, read_sessions
from cypher.errors import SettingsRefused
from cypher.settings import Secret, SettingsReader

__all__ = [
    "AuditConfig",
    "Category",
    "Config",
    "FactorsConfig",
    "HttpConfig",
    "KeyStoreKind",
    "KeysConfig",
    "LimitsConfig",
    "LogConfig",
    "Network",
    "OperatorsConfig",
    "PostgresConfig",
    "RecoveryConfig",
    "RedisConfig",
    "Secret",
    "SessionsConfig",
    "WebhookConfig",
    "load",
    "read_settings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    postgres: PostgresConfig
    redis: RedisConfig
    keys: KeysConfig
    http: HttpConfig
    operators: OperatorsConfig
    sessions: SessionsConfig
    factors: FactorsConfig
    limits: LimitsConfig
    audit: AuditConfig
    registration: Literal["open", "closed"]
    recovery: RecoveryConfig
    embedded_path: Path
    log: LogConfig
    metrics_folder: Path | None = None  #: where workers share what they count; set for them, by no setting


def load(environ: Mapping[str, str], dotenv: Path | None) -> Config:
    """Read every setting; raise `SettingsRefused` with all that is wrong, never only with the first."""
    config, problems = read_settings(environ, dotenv)
    if problems:
        raise SettingsRefused(problems)
    return config


def read_settings(environ: Mapping[str, str], dotenv: Path | None) -> tuple[Config, list[str]]:
    """Read every setting, and what is wrong with them: nothing may be served when there is anything.

    In the place of a setting that is wrong stands its default, or the wrong one where it can be told apart.
    """
    read = SettingsReader(environ, dotenv)
    embedded_path = Path(read.text("EMBEDDED_PATH") or ".cypher")
    postgres, http = read_postgres(read), read_http(read)
    config = Config(
        postgres=postgres,
        redis=read_redis(read),
        keys=read_keys(read, embedded_path / "keys" if postgres.embedded else None),
        http=http,
        operators=read_operators(read, http),
        sessions=read_sessions(read),
        factors=read_factors(read),
        limits=read_limits(read),
        audit=read_audit(read, embedded_path / "audit-checkpoints.jsonl" if postgres.embedded else None),
        registration=read.choice("REGISTRATION", "open", ("open", "closed")),
        recovery=read_recovery(read),
        embedded_path=embedded_path,
        log=read_log(read),
    )
    return config, read.problems
