"""All sealed columns side by side, for moving their values to another key. Ciphertext only: nothing is opened here."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.codec import Cell, Sealed
from cypher.postgres import Executor
from cypher.sqlfiles import Query

sql = sqlfiles.load("sealed_columns")

RowId = UUID | bytes
FIRST_UUID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column that holds sealed values; `<column>_key_id` stands beside it."""

    table: str
    column: str
    list_stale: Query
    exchange: Query
    before_all: RowId = FIRST_UUID  #: less than any primary key

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class SealedCell:
    """A value where it stands."""

    row_id: RowId
    cell: Cell
    sealed: Sealed


#: Every sealed column but those of the audit trail, which is never rewritten. A test compares it with the schema.
COLUMNS = (
    SealedColumn("users", "username", sql.list_users_username, sql.exchange_users_username),
    SealedColumn("users", "opaque_record", sql.list_users_opaque_record, sql.exchange_users_opaque_record),
    SealedColumn("users", "totp_secret", sql.list_users_totp_secret, sql.exchange_users_totp_secret),
    SealedColumn(
        "user_sessions", "session_data", sql.list_user_sessions_session_data, sql.exchange_user_sessions_session_data
    ),
    SealedColumn(
        "user_sessions", "ip_address", sql.list_user_sessions_ip_address, sql.exchange_user_sessions_ip_address
    ),
    SealedColumn(
        "user_sessions",
        "device_fingerprint",
        sql.list_user_sessions_device_fingerprint,
        sql.exchange_user_sessions_device_fingerprint,
    ),
    SealedColumn("devices", "fingerprint", sql.list_devices_fingerprint, sql.exchange_devices_fingerprint),
    SealedColumn("devices", "info", sql.list_devices_info, sql.exchange_devices_info),
    SealedColumn("devices", "name", sql.list_devices_name, sql.exchange_devices_name),
    SealedColumn(
        "refresh_tokens", "metadata", sql.list_refresh_tokens_metadata, sql.exchange_refresh_tokens_metadata, b""
    ),
    SealedColumn(
        "refresh_tokens", "successor", sql.list_refresh_tokens_successor, sql.exchange_refresh_tokens_successor, b""
    ),
    SealedColumn("audit_subjects", "secret", sql.list_audit_subjects_secret, sql.exchange_audit_subjects_secret),
)


class SealedColumnsRepository:
    """The sealed columns of every table but the audit trail's."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def list_stale(self, column: SealedColumn, key_id: str, after: RowId, most: int) -> list[SealedCell]:
        """Return values that are not under this key, of rows after `after`, in the order of the primary key."""
        rows = await self._run.many(column.list_stale, key_id, after, most)
        return [
            SealedCell(
                row["row_id"],
                Cell(column.table, column.column, row["row_id"]),
                Sealed(row["ciphertext"], row["key_id"]),
            )
            for row in rows
        ]

    async def exchange(
        self, column: SealedColumn, key_id: str, old: Sequence[SealedCell], new: Sequence[Sealed]
    ) -> int:
        """Put new values in the place of old ones, each where the old one still stands; returns how many did."""
        return await self._run.execrows(
            column.exchange,
            key_id,
            [each.row_id for each in old],
            [each.sealed.ciphertext for each in old],
            [each.ciphertext for each in new],
        )

    async def count_rows(self) -> dict[str, dict[str, int]]:
        """Return how many values hang on each key id, by `table.column`. Reads whole tables."""
        counts: dict[str, dict[str, int]] = {}
        for row in await self._run.many(sql.count_rows):
            counts.setdefault(row["key_id"], {})[row["place"]] = row["rows"]
        return counts
