"""How a value is sealed under the key of its cell: by Fernet, or by AES-256-GCM."""

import secrets
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cypher.crypto import base64url
from cypher.crypto.cell_fernet import cell_fernet

NONCE = 12


class CellCipher(Protocol):
    """One way to seal. `key` has 32 bytes; `info` names the cell."""

    def encrypt(self, key: bytes, plaintext: bytes, info: bytes) -> str:
        """Return the value as it stands in a column."""
        ...

    def decrypt(self, key: bytes, text: str, info: bytes) -> bytes:
        """Return the plaintext of the one text that `encrypt` made; InvalidToken, InvalidTag or ValueError if not."""
        ...


class FernetCells:
    """Fernet, whose key alone says which cell it is."""

    def encrypt(self, key: bytes, plaintext: bytes, info: bytes) -> str:
        return cell_fernet(key).encrypt(plaintext).decode("ascii")

    def decrypt(self, key: bytes, text: str, info: bytes) -> bytes:
        # Fernet's own decoder takes many texts for one token; only the one that it writes itself is taken here.
        token = text.encode("ascii")
        if not base64url.is_canonical(token):
            raise ValueError("not the token as it was made")
        return cell_fernet(key).decrypt(token)


class AesGcmCells:
    """AES-256-GCM; random nonces are safe, since a cell's key seals the few values that this one cell ever holds."""

    def encrypt(self, key: bytes, plaintext: bytes, info: bytes) -> str:
        nonce = secrets.token_bytes(NONCE)
        return base64url.encode(nonce + AESGCM(key).encrypt(nonce, plaintext, info))

    def decrypt(self, key: bytes, text: str, info: bytes) -> bytes:
        raw = base64url.decode(text)
        return AESGCM(key).decrypt(raw[:NONCE], raw[NONCE:], info)


class NoCells:
    """For keys that do not seal. The row names the key that opens it: it must not name, say, the OPAQUE setup."""

    def encrypt(self, key: bytes, plaintext: bytes, info: bytes) -> str:
        raise ValueError("not a key that seals")

    def decrypt(self, key: bytes, text: str, info: bytes) -> bytes:
        raise ValueError("not a key that seals")
