"""Ed25519 keys (RFC 8032) of the key ring. What is signed, and in which form, is the caller's."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cypher.crypto.keys import Algorithm, Key


def private_key(key: Key) -> Ed25519PrivateKey:
    """Return the private key of a key of the ring; raise ValueError for a key that is not for signing."""
    if key.algorithm is not Algorithm.ED25519:
        raise ValueError(f"{key.id} is not a key for signing")
    return Ed25519PrivateKey.from_private_bytes(key.secret)


def public_bytes(key: Key) -> bytes:
    """Return the public half (32 bytes)."""
    return private_key(key).public_key().public_bytes_raw()
