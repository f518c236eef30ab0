"""OPAQUE messages as texts: base64url without padding, in the one form in which a value can be written."""

from cypher.crypto import base64url
from cypher.errors import MalformedOpaqueMessage

to_base64url = base64url.encode


def opaque_message(text: str, length: int) -> bytes:
    """Decode an OPAQUE message of exactly `length` bytes; raise MalformedOpaqueMessage for everything else.

    The OPAQUE library takes extra bytes after a message: they must not get here.
    """
    try:
        decoded = base64url.decode(text)
    except ValueError:
        raise MalformedOpaqueMessage from None
    if len(decoded) != length:
        raise MalformedOpaqueMessage
    return decoded
