"""The key-encryption key: the master password in the form that wraps keys. It is never stored and never shown."""

import base64
import hmac
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from cypher.crypto.derive import derive
from cypher.crypto.keys import Purpose, secret_length
from cypher.crypto.stored import Kdf
from cypher.errors import KeyStoreRefused


class KeyEncryptionKey:
    """Wraps and unwraps keys, each under a key of its own, so that wrapped keys cannot be swapped."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "KeyEncryptionKey(***)"

    @classmethod
    def from_password(cls, master_password: str, kdf: Kdf) -> "KeyEncryptionKey":
        """Derive it with PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2); 600,000 rounds take about 0.2 s."""
        try:
            # The environment hands over bytes that are not UTF-8 as surrogates; these give the bytes back.
            password = master_password.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            # From None: the error at hand holds the password.
            raise KeyStoreRefused("MASTER_ENCRYPTION_PASSWORD is not a text.") from None
        kdf_ = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=kdf.salt, iterations=kdf.rounds)
        return cls(kdf_.derive(password))

    def make_check(self, store_id: UUID) -> str:
        """Seal the store's id, by which a wrong password shows before any key is touched."""
        return self._check().encrypt(store_id.bytes).decode("ascii")

    def opens(self, check: str, store_id: UUID) -> bool:
        """Tell whether `check` was made by this key for this store."""
        try:
            return hmac.compare_digest(self._check().decrypt(check), store_id.bytes)
        except InvalidToken:
            return False

    def wrap(self, purpose: Purpose, key_id: str, secret: bytes) -> str:
        """Return the key as a Fernet token."""
        return self._wrapping(purpose, key_id).encrypt(secret).decode("ascii")

    def unwrap(self, purpose: Purpose, key_id: str, wrapped: str) -> bytes:
        """Return the key; raise ValueError for anything that was not wrapped under this purpose and id."""
        try:
            secret = self._wrapping(purpose, key_id).decrypt(wrapped)
        except InvalidToken:
            raise ValueError("a wrapped key does not open") from None
        if len(secret) != secret_length(purpose):
            raise ValueError("a key has the wrong length")
        return secret

    def _check(self) -> Fernet:
        return _fernet(derive(self._key, b"cypher/v1/check\x00"))

    def _wrapping(self, purpose: Purpose, key_id: str) -> Fernet:
        info = b"cypher/v1/wrap\x00" + purpose.encode() + b"\x00" + key_id.encode()
        return _fernet(derive(self._key, info))


def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
