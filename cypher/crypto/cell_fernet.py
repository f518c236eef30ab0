"""Fernet under a key that is at hand as bytes: to have it written as text and read again takes 1 µs of a value's 15."""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.algorithms import AES


class _CellFernet(Fernet):
    def __init__(self, key: bytes) -> None:
        self._signing_key = key[:16]
        self._encryption_key = key[16:]
        self._aes = AES(self._encryption_key)


#: These fields are the library's own: where it has others, it is asked in its public way.
_FIELDS_ARE_KNOWN = vars(Fernet(Fernet.generate_key())).keys() == vars(_CellFernet(bytes(32))).keys()


def cell_fernet(key: bytes) -> Fernet:
    """Return Fernet under 32 bytes."""
    return _CellFernet(key) if _FIELDS_ARE_KNOWN else Fernet(base64.urlsafe_b64encode(key))
