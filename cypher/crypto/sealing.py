"""What is hashed and signed of the audit trail, byte by byte: whoever has the public keys checks it with these alone.

Numbers have eight bytes, big-endian; times are microseconds since 1970. Each message begins with what it is.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cypher.clock import microseconds_of
from cypher.crypto.merkle import leaf_hash, root_of

#: What stands in `previous` of the first seal.
NOTHING = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An entry as it was sealed; it stays when the entry is gone."""

    retention: str
    entry_id: UUID
    entry_hash: bytes  #: 32 bytes

    def hash(self) -> bytes:
        """Return the hash of the leaf."""
        return leaf_hash(self.entry_id.bytes + self.entry_hash + self.retention.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a seal says: of a closed range of entries, and by `previous` of everything before it."""

    seal_no: int
    through_xid: int
    count: int
    root: bytes  #: 32 bytes
    previous: bytes  #: 32 bytes
    sealed_at: datetime

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        numbers = (self.seal_no, self.through_xid, self.count, microseconds_of(self.sealed_at))
        return b"cypher/v1/audit-seal\x00" + _numbers(numbers) + self.root + self.previous

    def digest(self) -> bytes:
        """Return the hash by which the next seal and a checkpoint name this one."""
        return hashlib.sha256(self.message()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a checkpoint says: how long the trail was, and which seal was its last."""

    store_id: UUID  #: of the key store, and so of the deployment
    seal_no: int
    digest: bytes  #: 32 bytes
    made_at: datetime

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        numbers = (self.seal_no, microseconds_of(self.made_at))
        return b"cypher/v1/audit-checkpoint\x00" + self.store_id.bytes + _numbers(numbers) + self.digest


def root_over(leaves: Sequence[Leaf]) -> bytes:
    """Return the root over leaves in their order."""
    return root_of(leaf.hash() for leaf in leaves)


def _numbers(numbers: Sequence[int]) -> bytes:
    # A number that does not fit was not written by us: it may have any bytes, and no signature fits them.
    return b"".join((number % 2**64).to_bytes(8, "big") for number in numbers)
