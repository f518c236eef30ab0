"""Fernet under a key that is at hand as bytes: to have it written as text and read again takes 1 µs of a value's 15."""

import base64
from collections.abc import Callable

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.algorithms import AES


class _CellFernet(Fernet):
    def __init__(self, key: bytes) -> None:
        self._signing_key = key[:16]
        self._encryption_key = key[16:]
        self._aes = AES(self._encryption_key)


def _in_public_way(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))


#: Makes Fernet under 32 bytes. Its fields are the library's own: where it has others, it is asked in its public way.
cell_fernet: Callable[[bytes], Fernet] = (
    _CellFernet if vars(_in_public_way(bytes(32))).keys() == vars(_CellFernet(bytes(32))).keys() else _in_public_way
)
