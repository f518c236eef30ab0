"""Calls the operator's mailer: a signed POST that is short, follows nobody elsewhere and is never logged.

The receiver checks `Cypher-Signature` over `Cypher-Timestamp`, a full stop and the body, before it reads the body.
"""

import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
import msgspec
from aiohttp import hdrs

from cypher import __version__
from cypher.auth.recovery_requests import Notice
from cypher.clock import Clock
from cypher.config.recovery import WebhookConfig

logger = logging.getLogger("cypher.recovery")

TIMESTAMP_HEADER = "Cypher-Timestamp"
SIGNATURE_HEADER = "Cypher-Signature"
#: A mailer takes a notice and writes the mail afterwards.
TIMEOUT = aiohttp.ClientTimeout(total=5.0, sock_connect=2.0)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Sign a call: `v1=` and the HMAC-SHA256 over timestamp, "." and body, in 64 hexadecimal digits."""
    return "v1=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


class Webhook:
    """One receiver."""

    def __init__(self, http: aiohttp.ClientSession, config: WebhookConfig, clock: Clock) -> None:
        self._http = http
        self._config = config
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, config: WebhookConfig, clock: Clock) -> AsyncIterator["Webhook"]:
        """Lend a webhook with connections of its own; cookies are neither kept nor sent."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT) as http:
            yield cls(http, config, clock)

    async def deliver(self, notice: Notice) -> bool:
        """Send a notice once; tell whether the receiver has taken it, which only a 2xx says."""
        body = msgspec.json.encode(notice)
        # Signed anew for each try: the receiver refuses what is older than it thinks right.
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            hdrs.CONTENT_TYPE: "application/json",
            hdrs.USER_AGENT: f"cypher/{__version__}",
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature(self._config.secret.reveal(), timestamp, body),
        }
        try:
            # Not elsewhere: the token would travel along.
            async with self._http.post(
                self._config.url.reveal(), data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            # The texts of these name the URL, which may hold a secret.
            logger.warning("RECOVERY_WEBHOOK does not answer (%s)", type(exc).__qualname__)
            return False
        taken = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        if not taken:
            logger.warning("RECOVERY_WEBHOOK answers %d", status)
        return taken
