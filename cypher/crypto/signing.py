"""Ed25519 keys (RFC 8032) of the key ring. What is signed, and in which form, is the caller's."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cypher.crypto.keys import Key


def private_key(key: Key) -> Ed25519PrivateKey:
    """Return the private key of a key of the ring; raise ValueError for a key that is not for signing."""
    if key.signer is None:
        raise ValueError(f"{key.id} is not a key for signing")
    return key.signer


def public_bytes(key: Key) -> bytes:
    """Return the public half (32 bytes)."""
    return private_key(key).public_key().public_bytes_raw()


def sign(key: Key, message: bytes) -> bytes:
    """Return a signature (64 bytes)."""
    return private_key(key).sign(message)


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the holder of a key, given by its public half (32 bytes), has signed this message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
