"""Seals of the audit trail and the leaves under them: added, never changed, and kept when their entries are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cypher import sqlfiles
from cypher.crypto.sealing import Leaf, Statement
from cypher.postgres import Executor, Record

sql = sqlfiles.load("audit_seals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A statement and who signed it."""

    statement: Statement
    signature: bytes  #: 64 bytes
    signing_key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeal:
    """Where the chain ends."""

    seal: Seal
    counts_anew: bool  #: this server's transactions have lower numbers than the seal's: the trail was brought here


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Entries that the next seal is about; by no transaction up to `through_xid` can another one come."""

    leaves: Sequence[Leaf]
    through_xid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What is not sealed yet."""

    entries: int
    oldest: datetime | None


class AuditSealRepository:
    """`audit_seals` and `audit_leaves`."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def try_sealing(self) -> bool:
        """Become the one that seals, to the end of the transaction."""
        return bool(await self._run.value(sql.try_sealing))

    async def get_last_seal(self) -> LastSeal | None:
        row = await self._run.one(sql.get_last_seal)
        return LastSeal(seal=_seal(row), counts_anew=row["counts_anew"]) if row else None

    async def list_settled(self, through_xid: int, most: int) -> Settled | None:
        """Return about `most` entries of transactions after `through_xid`, of which none is open; None for none."""
        return _settled(await self._run.many(sql.list_settled, str(through_xid), most))

    async def list_brought(self) -> Settled | None:
        """Return every entry without a leaf, for a trail that was brought from another server."""
        return _settled(await self._run.many(sql.list_brought))

    async def insert_seal(self, seal: Seal, leaves: Sequence[Leaf]) -> None:
        """Add a seal with its leaves."""
        said = seal.statement
        await self._run.exec(
            sql.insert_seal,
            said.seal_no,
            str(said.through_xid),
            said.count,
            said.root,
            said.previous,
            said.sealed_at,
            seal.signature,
            seal.signing_key_id,
        )
        columns = zip(*((leaf.retention, leaf.entry_id, leaf.entry_hash) for leaf in leaves), strict=True)
        await self._run.exec(sql.insert_leaves, said.seal_no, *columns)

    async def list_seals(self, after: int, most: int) -> list[Seal]:
        """Return seals in their order, after the one of this number."""
        return [_seal(row) for row in await self._run.many(sql.list_seals, after, most)]

    async def list_leaves(self, first_no: int, last_no: int) -> dict[int, list[tuple[int, Leaf]]]:
        """Return the leaves of seals, by seal, each with its position, which counts from 0."""
        leaves: dict[int, list[tuple[int, Leaf]]] = {}
        for row in await self._run.many(sql.list_leaves, first_no, last_no):
            leaves.setdefault(row["seal_no"], []).append((row["position"], _leaf(row)))
        return leaves

    async def count_leaves(self) -> int:
        """Return how many entries were ever sealed."""
        count = await self._run.value(sql.count_leaves)
        return count if isinstance(count, int) else 0

    async def get_lag(self) -> Lag:
        """Return how many entries are not sealed yet, and how old the oldest of them is."""
        row = await self._run.one(sql.get_lag)
        return Lag(entries=row["entries"], oldest=row["oldest"]) if row else Lag(entries=0, oldest=None)


def _seal(row: Record) -> Seal:
    return Seal(
        statement=Statement(
            seal_no=row["seal_no"],
            through_xid=int(row["through_xid"]),
            count=row["count"],
            root=row["root"],
            previous=row["previous"],
            sealed_at=row["sealed_at"],
        ),
        signature=row["signature"],
        signing_key_id=row["signing_key_id"],
    )


def _leaf(row: Record) -> Leaf:
    return Leaf(retention=row["retention"], entry_id=row["entry_id"], entry_hash=row["hash"])


def _settled(rows: Sequence[Record]) -> Settled | None:
    if not rows:
        return None
    return Settled(leaves=[_leaf(row) for row in rows], through_xid=max(int(row["xid"]) for row in rows))
