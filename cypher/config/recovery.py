"""Where the tokens go that people ask for: to the operator's mailer, which writes to them."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from cypher.settings import Secret, SettingsReader

#: What signs must not be guessed: the size of a key of HMAC-SHA256, in characters.
SHORTEST_SECRET = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """A webhook and what its calls are signed with. The URL may hold a secret itself."""

    url: Secret
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryConfig:
    """What `Config` holds of it. No webhook: recovery tokens come from an operator."""

    webhook: WebhookConfig | None = None


def read_recovery(read: SettingsReader) -> RecoveryConfig:
    url, secret = read.secret("RECOVERY_WEBHOOK"), read.secret("RECOVERY_WEBHOOK_SECRET")
    if url is None:
        if secret is not None:
            read.refuse("RECOVERY_WEBHOOK_SECRET is set without RECOVERY_WEBHOOK")
        return RecoveryConfig()
    if not _is_url(url.reveal()):
        read.refuse("RECOVERY_WEBHOOK must be a URL that begins with https:// or http:// and names a host")
    if secret is None or len(secret.reveal()) < SHORTEST_SECRET:
        read.refuse(f"RECOVERY_WEBHOOK needs a RECOVERY_WEBHOOK_SECRET of {SHORTEST_SECRET} characters or more")
        return RecoveryConfig()
    return RecoveryConfig(webhook=WebhookConfig(url=url, secret=secret))


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
