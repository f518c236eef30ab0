"""Keyed hashes of audit entries."""

from cypher.crypto.keys import Key


def keyed_hash(key: Key, message: bytes) -> bytes:
    """Return HMAC-SHA256 of `message` under a key, 32 bytes."""
    return key.mac.of(message)
