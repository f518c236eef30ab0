"""The audit trail: where its checkpoints go, and how long its entries stay."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NewType
from urllib.parse import urlsplit

from cypher.settings import SettingsReader

Webhook = NewType("Webhook", str)
Place = Path | Webhook | Literal["stdout"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """Checkpoints go to a file, a webhook, standard output or nowhere (None)."""

    checkpoint: Place = None
    retention_days: int = 400  #: of what is kept long; noisy events stay for 30 days


def read_audit(read: SettingsReader, embedded_file: Path | None) -> AuditConfig:
    """`embedded_file` is where checkpoints go unasked when PostgreSQL is embedded."""
    return AuditConfig(
        checkpoint=_place(read, embedded_file),
        # Shorter than the noisy events' 30 days would turn the two classes around.
        retention_days=read.number("AUDIT_RETENTION_DAYS", 400, low=30, high=3650),
    )


def _place(read: SettingsReader, embedded_file: Path | None) -> Place:
    value = read.text("AUDIT_CHECKPOINT")
    if value is None:
        return embedded_file
    if value.lower() == "off":
        return None
    if value.lower() == "stdout":
        return "stdout"
    if "://" not in value:
        return Path(value)
    # What is wrong with it is not said by showing it: a webhook's address may hold its secret.
    try:
        url = urlsplit(value)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname:
        read.refuse("AUDIT_CHECKPOINT must be off, stdout, a file or an URL with http:// or https://")
    return Webhook(value)
