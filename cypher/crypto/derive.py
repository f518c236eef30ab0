"""The one way a key is made from another."""

import hmac


def derive(key: bytes, info: bytes) -> bytes:
    """Derive 32 bytes from a uniformly random `key`: HKDF-Expand with SHA-256 (RFC 5869, section 2.3).

    For one block of output that is a single HMAC. `info` must be unambiguous: its fixed parts end in a NUL byte.
    """
    return hmac.digest(key, info + b"\x01", "sha256")
