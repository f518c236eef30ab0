"""The one way a key is made from another."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


class KeyedMac:
    """HMAC-SHA256 under one key, which is worked in once and not for each message: 0.6 µs instead of 1.8."""

    __slots__ = ("_keyed", "_under")

    def __init__(self, key: bytes) -> None:
        self._keyed = HMAC(key, SHA256())
        self._under: dict[bytes, KeyedMac] = {}

    def of(self, message: bytes) -> bytes:
        """Return the MAC of a message, 32 bytes."""
        mac = self._keyed.copy()
        mac.update(message)
        return mac.finalize()

    def derive(self, info: bytes) -> bytes:
        """Derive 32 bytes from a uniformly random key: HKDF-Expand with SHA-256 (RFC 5869, section 2.3).

        For one block of output that is a single HMAC. `info` must be unambiguous: its fixed parts end in a NUL byte.
        """
        return self.of(info + b"\x01")

    def under(self, info: bytes) -> "KeyedMac":
        """Return the same under a derived key. It is kept for as long as this: only for an `info` of few values."""
        found = self._under.get(info)
        if found is None:
            found = self._under[info] = KeyedMac(self.derive(info))
        return found


def derive(key: bytes, info: bytes) -> bytes:
    """Derive once from a key that serves nothing else."""
    return KeyedMac(key).derive(info)
