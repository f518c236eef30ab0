"""Names and sealed values of Redis: `cypher:<epoch>:<kind>:{<id>}` holds `<key_id>:<ciphertext>`.

A value is bound to its kind and id: copied under another name it does not open, and what does not open is a miss.
"""

from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import Purpose
from cypher.errors import FieldDoesNotOpen


def key_name(epoch: str, kind: str, value_id: str) -> str:
    """Return a name; the braces keep everything about one id on one hash slot."""
    return f"cypher:{epoch}:{kind}:{{{value_id}}}"


class SealedValues:
    """The codec as Redis uses it. `epoch` changes when a backup is restored, which leaves all older values behind."""

    def __init__(self, codec: FieldCodec, epoch: str) -> None:
        self._codec = codec
        self._epoch = epoch

    def key(self, kind: str, value_id: str) -> str:
        """Return the name of a value."""
        return key_name(self._epoch, kind, value_id)

    async def seal(self, plaintext: bytes, kind: str, value_id: str) -> bytes:
        sealed = await self._codec.seal(plaintext, Cell("redis", kind, value_id), Purpose.CACHE)
        return f"{sealed.key_id}:{sealed.ciphertext}".encode()

    async def open(self, value: bytes, kind: str, value_id: str) -> bytes | None:
        """Return the plaintext, or None for whatever does not open."""
        key_id, _, ciphertext = value.decode("ascii", "replace").partition(":")
        try:
            return await self._codec.open(Sealed(ciphertext, key_id), Cell("redis", kind, value_id))
        except FieldDoesNotOpen:
            return None
