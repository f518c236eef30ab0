"""Finds a sealed value without opening every row. An index tells that two values are equal and nothing else."""

from cypher.crypto.keyring import KeyRing
from cypher.crypto.keys import Key, Purpose

LENGTH = 16


class BlindIndex:
    """Indexes under the index keys of the ring. `field` is `table.column`: equal values of two fields differ."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def index(self, value: str | bytes, field: str) -> bytes:
        """Return the index (16 bytes) that is stored with a value. `value` must be in its one canonical form."""
        return _index(self._ring.primary(Purpose.INDEX), value, field)

    async def indexes(self, value: str | bytes, field: str) -> list[bytes]:
        """Return the index under every live key, the stored one first: what a look-up compares with.

        Raises KeysUnavailable when the ring could not be confirmed in the last 30 s: rows may be indexed under a key
        that is not known here, and who is there must not be taken for unknown.
        """
        await self._ring.confirmed(Purpose.INDEX)
        return [_index(key, value, field) for key in self._ring.live(Purpose.INDEX)]

    def index_under(self, key: Key, value: str | bytes, field: str) -> bytes:
        """Return the index under one key, for a row that is moved to it."""
        return _index(key, value, field)


def _index(key: Key, value: str | bytes, field: str) -> bytes:
    message = value.encode() if isinstance(value, str) else value
    return key.mac.under(b"cypher/v1/index\x00" + field.encode()).of(message)[:LENGTH]
