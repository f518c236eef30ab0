"""Finds a value in a stream of bytes however it is spelled: plain, hex, base64 at any alignment, in any case."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress

#: Shorter ones could be there by chance.
SHORTEST = 8


def spellings(value: bytes) -> Iterator[bytes]:
    """Yield a value as it could stand somewhere, in lower case; base64 without what it shares with its neighbours."""
    if len(value) < SHORTEST:
        raise ValueError("too short to be searched for")
    yield value.lower()
    # Letters beyond ASCII have other bytes in capitals, which lowering bytes leaves as they are.
    with suppress(UnicodeDecodeError):
        yield from {changed.encode().lower() for changed in (value.decode().upper(), value.decode().lower())}
    yield value.hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + value)
        inner = encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4].lower()
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


class Search:
    """Looks for named values in one place, chunk by chunk, and holds no more than a chunk."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._wanted = {spelling: name for name, value in values.items() for spelling in spellings(value)}
        self._overlap = max(map(len, self._wanted), default=1) - 1
        self._rest = b""
        self.found: set[str] = set()
        self.size = 0  #: bytes that were looked at

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes; a value may begin in the ones before."""
        text = self._rest + chunk.lower()
        self.found |= {name for spelling, name in self._wanted.items() if spelling in text}
        self._rest = text[-self._overlap :] if self._overlap else b""
        self.size += len(chunk)
