"""The device token as a value: 256 random bits that are stored only as their SHA-256."""

import re

from cypher.auth.refresh_tokens import hash_token
from cypher.clock import new_token

PREFIX = "cyd_"
#: Exactly what `new_device_token()` draws.
FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_device_token() -> str:
    """Draw a device token: `cyd_` and 43 characters of base64url."""
    return new_token(PREFIX)


def hash_of_shown(text: str | None) -> bytes | None:
    """Return the 32 bytes that a token is stored as; None for no token, and for what was never given out.

    A client may have kept anything in its place: that must not keep its owner out.
    """
    return hash_token(text) if text is not None and FORM.fullmatch(text) else None
