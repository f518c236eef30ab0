"""base64url without padding (RFC 4648, section 5), in the one form in which a value can be written."""

import base64
import re

from cypher.errors import MalformedOpaqueMessage

ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


def to_base64url(value: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def opaque_message(text: str, length: int) -> bytes:
    """Decode an OPAQUE message of exactly `length` bytes; raise MalformedOpaqueMessage for everything else.

    The OPAQUE library takes extra bytes after a message, and Python's decoder skips what is not base64: neither
    may get here. Padding, and bits set beyond the last byte, are refused too.
    """
    if len(text) != -(-length * 4 // 3) or not ALPHABET.fullmatch(text):
        raise MalformedOpaqueMessage
    decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(decoded) != length or to_base64url(decoded) != text:
        raise MalformedOpaqueMessage
    return decoded
