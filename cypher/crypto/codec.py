"""Seals one field under a key of its own cell. Moved to another row or column, it does not open.

There is one failure, without detail, and no trial: the key id picks the key.
"""

from collections.abc import Collection
from functools import cache
from typing import Protocol
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.fernet import InvalidToken

from cypher.crypto.derive import derive
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keys import COUNTED, Key, Purpose, UnknownKey
from cypher.errors import FieldDoesNotOpen


class Sealed(msgspec.Struct, frozen=True):
    """A sealed value as it stands in a column, and the id of its key, which stands beside it."""

    ciphertext: str
    key_id: str


class Cell(msgspec.Struct, frozen=True):
    """The place of a value. `row_id` is the row's primary key; a UUID and its 16 bytes are the same row.

    Made for each value: a frozen dataclass takes five times as long.
    """

    table: str
    column: str
    row_id: UUID | bytes | str

    def info(self) -> bytes:
        """Return the bytes that name this cell to the key derivation."""
        row = self.row_id
        row_bytes = row.bytes if isinstance(row, UUID) else row.encode() if isinstance(row, str) else row
        return _column(self.table, self.column) + row_bytes

    def name(self) -> str:
        """Return what an operator finds the cell by."""
        row = self.row_id.hex() if isinstance(self.row_id, bytes) else self.row_id
        return f"{self.table}.{self.column} {row}"


@cache  # there are a few dozen columns
def _column(table: str, column: str) -> bytes:
    return b"cypher/v1/field\x00" + f"{table}.{column}".encode() + b"\x00"


class UseCount(Protocol):
    """Counts what is sealed under a key before it is sealed, so that a crash counts too many and never too few."""

    def take(self, key_id: str) -> bool:
        """Take one use of those that are reserved; False when there is none."""
        ...

    async def reserve(self, key: Key) -> None:
        """Reserve uses of a key, or see to it that the ring has another."""
        ...


class Uncounted:
    """For values that no database keeps."""

    def take(self, key_id: str) -> bool:
        return True

    async def reserve(self, key: Key) -> None:
        return None


class FieldCodec:
    """Seals under the active key of a purpose, opens with whichever key sealed."""

    def __init__(self, ring: KeyRing, uses: UseCount | None = None) -> None:
        self._ring = ring
        self._uses = uses or Uncounted()

    async def seal(self, plaintext: bytes, cell: Cell, purpose: Purpose = Purpose.DATA) -> Sealed:
        """Seal a value for its cell. Raises KeysUnavailable when the ring could not be confirmed of late."""
        key = self._ring.confirmed_now(purpose) or await self._ring.confirmed(purpose)
        while purpose in COUNTED and not self._uses.take(key.id):
            await self._uses.reserve(key)
            key = await self._ring.confirmed(purpose)
        return Sealed(_encrypt(key, plaintext, cell.info()), key.id)

    def seal_under(self, key: Key, plaintext: bytes, cell: Cell, *, further: bytes | None = None) -> Sealed:
        """Seal a value under a key whose uses are not counted, and which the ring has just confirmed.

        `further` (32 bytes) is a second secret without which the value does not open either. Whoever destroys it makes
        unreadable what a key that many values share must not be destroyed for.
        """
        return Sealed(_encrypt(key, plaintext, cell.info(), further), key.id)

    async def open(self, sealed: Sealed, cell: Cell, *, further: bytes | None = None) -> bytes:
        """Return the plaintext; raise FieldDoesNotOpen for whatever was not sealed as it is for this very cell."""
        try:
            key = self._ring.find(sealed.key_id) or await self._ring.key(sealed.key_id)
            return _decrypt(key, sealed.ciphertext, cell.info(), further)
        except (InvalidToken, InvalidTag, UnknownKey, ValueError):
            raise FieldDoesNotOpen(cell.name()) from None

    async def learn_keys(self, values: Collection[Sealed]) -> frozenset[str]:
        """Look once for the keys of all these values; returns the ids of those that there are not.

        For who opens many: looked for one by one, forged ids would take a second each.
        """
        return await self._ring.learn({sealed.key_id for sealed in values})

    def reseal(self, sealed: Sealed, cell: Cell, key: Key) -> Sealed:
        """Move a value to another key; it stays in its cell. Its old key must be known to the ring already.

        Not counted as a use: every cell has a key of its own, the limit is policy, and a sweep must be able to end.
        Raises FieldDoesNotOpen as `open` does.
        """
        old, info = self._ring.find(sealed.key_id), cell.info()
        try:
            if old is None:
                raise UnknownKey
            plaintext = _decrypt(old, sealed.ciphertext, info)
        except (InvalidToken, InvalidTag, UnknownKey, ValueError):
            raise FieldDoesNotOpen(cell.name()) from None
        return Sealed(_encrypt(key, plaintext, info), key.id)


def _encrypt(key: Key, plaintext: bytes, info: bytes, further: bytes | None = None) -> str:
    return key.cipher.encrypt(_cell_key(key, info, further), plaintext, info)


def _decrypt(key: Key, ciphertext: str, info: bytes, further: bytes | None = None) -> bytes:
    if not isinstance(ciphertext, str):
        raise ValueError("NULL in the row where a sealed value should be")
    return key.cipher.decrypt(_cell_key(key, info, further), ciphertext, info)


def _cell_key(key: Key, info: bytes, further: bytes | None) -> bytes:
    """Derive the key of a cell; with a further secret, of both: whoever lacks one of them has nothing."""
    cell_key = key.mac.derive(info)
    if further is None:
        return cell_key
    return derive(cell_key, b"cypher/v1/further\x00" + derive(further, info))
