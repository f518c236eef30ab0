"""The lines of an exported trail, one JSON object each: what a reader without the keys needs to check it.

A header, the public keys, then every seal in its order, each followed by its leaves with their entries, then what is
not sealed yet, and an end. So whoever reads it holds one seal at a time.
"""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

import msgspec

from cypher.auth.entries import EntryView
from cypher.clock import Moment
from cypher.crypto import base64url
from cypher.crypto.sealing import Leaf, Statement
from cypher.errors import OperatorError
from cypher.repositories.audit_seals import Seal


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header"):
    """Whose trail this is, and how many days each class is kept."""

    store_id: UUID
    exported_at: Moment
    retention_days: dict[str, int]
    version: Literal[1] = 1


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, tag="public_key"):
    """A key that seals are signed with: Ed25519, 32 bytes, base64url."""

    id: str
    key: str


class SealLine(msgspec.Struct, frozen=True, kw_only=True, tag="seal"):
    """A seal; binary is base64url."""

    seal_no: int
    through_xid: int
    count: int
    root: str
    previous: str
    sealed_at: Moment
    signature: str
    signing_key_id: str

    @classmethod
    def of(cls, seal: Seal) -> "SealLine":
        said = seal.statement
        return cls(
            seal_no=said.seal_no,
            through_xid=said.through_xid,
            count=said.count,
            root=base64url.encode(said.root),
            previous=base64url.encode(said.previous),
            sealed_at=said.sealed_at,
            signature=base64url.encode(seal.signature),
            signing_key_id=seal.signing_key_id,
        )

    def seal(self) -> Seal:
        """Return the seal; raises ValueError where something is not base64url."""
        statement = Statement(
            seal_no=self.seal_no,
            through_xid=self.through_xid,
            count=self.count,
            root=base64url.decode(self.root),
            previous=base64url.decode(self.previous),
            sealed_at=self.sealed_at,
        )
        return Seal(statement=statement, signature=base64url.decode(self.signature), signing_key_id=self.signing_key_id)


class LeafLine(msgspec.Struct, frozen=True, kw_only=True, tag="leaf"):
    """A leaf of the seal before it; no entry where retention has let go of it."""

    position: int
    retention: str
    entry_id: UUID
    entry_hash: str
    entry: EntryView | None

    def leaf(self) -> Leaf:
        """Return the leaf; raises ValueError where the hash is not base64url."""
        entry_hash = base64url.decode(self.entry_hash)
        return Leaf(retention=self.retention, entry_id=self.entry_id, entry_hash=entry_hash)


class UnsealedLine(msgspec.Struct, frozen=True, kw_only=True, tag="unsealed"):
    """An entry that the next seal will be about."""

    entry: EntryView


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """Nothing is missing after this."""

    seals: int
    entries: int


Line = Header | PublicKey | SealLine | LeafLine | UnsealedLine | End

_decode = msgspec.json.Decoder(Line).decode


def read_lines(lines: Iterable[bytes]) -> Iterable[Line]:
    """Read lines; raises OperatorError at one that is none of these."""
    for number, line in enumerate(lines, start=1):
        try:
            yield _decode(line)
        except (msgspec.DecodeError, RecursionError, ValueError) as exc:
            raise OperatorError(f"Line {number} is not a line of an export of the audit trail.") from exc
