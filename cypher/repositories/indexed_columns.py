"""All blind indexes side by side, for moving them to another index key."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import Key
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Executor
from cypher.repositories.devices import of_person
from cypher.sqlfiles import Query

sql = sqlfiles.load("indexed_columns")
logger = logging.getLogger("cypher.repositories")

COUNTED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class IndexedColumn:
    """A sealed column whose values are found by `<column>_index`."""

    table: str
    column: str
    list_rows: Query
    exchange: Query
    held: bool = False  #: nothing is written here while the key is being replaced

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row as it is and as it should be."""

    row_id: UUID
    is_: bytes
    should_be: bytes


#: Every column with a blind index but the trail's, which is never rewritten. A test compares it with the schema.
COLUMNS = (
    IndexedColumn("users", "username", sql.list_users_username, sql.exchange_users_username, held=True),
    IndexedColumn("devices", "fingerprint", sql.list_devices_fingerprint, sql.exchange_devices_fingerprint),
    IndexedColumn(
        "user_sessions",
        "device_fingerprint",
        sql.list_user_sessions_device_fingerprint,
        sql.exchange_user_sessions_device_fingerprint,
    ),
)


class IndexedColumnsRepository:
    """The columns with a blind index."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex) -> None:
        self._run = run
        self._codec = codec
        self._index = index

    async def list_rows(self, column: IndexedColumn, key: Key, after: UUID, most: int) -> list[IndexedRow]:
        """Return rows in the order of their ids, each with its index under `key`.

        A value that does not open keeps the index it has: it must not keep all others from theirs.
        """
        rows = []
        found = await self._run.many(column.list_rows, after, most)
        unknown = await self._codec.learn_keys([Sealed(row["ciphertext"], row["key_id"]) for row in found])
        for row in found:
            is_ = should_be = row["blind_index"]
            cell = Cell(column.table, column.column, row["row_id"])
            try:
                if row["key_id"] in unknown:
                    raise FieldDoesNotOpen(cell.name())
                value = await self._codec.open(Sealed(row["ciphertext"], row["key_id"]), cell)
                person: UUID | None = row["person"]
                indexed = of_person(person, value) if person else value
                should_be = self._index.index_under(key, indexed, str(column))
            except FieldDoesNotOpen as failure:
                logger.error("%s does not open and keeps its index", failure.where)
            rows.append(IndexedRow(row["row_id"], is_, should_be))
        return rows

    async def count_under(self, column: IndexedColumn, key: Key) -> int:
        """Count the rows that are found by an index under `key`, or may be: those whose value does not open."""
        after, count = UUID(int=0), 0
        while rows := await self.list_rows(column, key, after, COUNTED_AT_ONCE):
            after = rows[-1].row_id
            count += sum(row.is_ == row.should_be for row in rows)
        return count

    async def exchange(self, column: IndexedColumn, rows: Sequence[IndexedRow]) -> int:
        """Put the right index in the place of the one that was read; returns how many rows that changed."""
        return await self._run.execrows(
            column.exchange, [row.row_id for row in rows], [row.is_ for row in rows], [row.should_be for row in rows]
        )
