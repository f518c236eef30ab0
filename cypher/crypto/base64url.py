"""Binary as text: base64url without padding (RFC 4648, section 5), one text for one value."""

import base64


def encode(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Read what `encode` writes; raise ValueError for any other text.

    Python's decoder skips foreign characters and ignores spare bits, so that many texts would stand for one
    value. Only the text that encodes to itself is taken.
    """
    value = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if encode(value) != text:
        raise ValueError("not base64url without padding")
    return value
