"""The refresh token as a value: 256 random bits that are stored only as their SHA-256."""

import hashlib

from cypher.clock import new_token

PREFIX = "cyr_"


def new_refresh_token() -> str:
    """Draw a refresh token: `cyr_` and 43 characters of base64url."""
    return new_token(PREFIX)


def hash_token(token: str) -> bytes:
    """Return the 32 bytes under which a bearer value is stored; 256 random bits need no salt and no stretching."""
    # What stood in a header may be no UTF-8: such a token is unknown, not an error.
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
