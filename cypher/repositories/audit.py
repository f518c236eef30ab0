"""The audit trail: entries are added, each under a keyed hash of all that it says. Nothing here changes one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Literal
from uuid import UUID

import msgspec

from cypher import sqlfiles
from cypher.clock import microseconds_of
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import Key, KeyRing, Purpose
from cypher.crypto.mac import keyed_hash
from cypher.postgres import Executor
from cypher.repositories.rows import Row, as_json

sql = sqlfiles.load("audit_logs")

Retention = Literal["long", "short"]


class EntryHead(msgspec.Struct, frozen=True, kw_only=True):
    """All of an entry that stands in the row in the clear, in the order of the table.

    Made with each change: a frozen dataclass of so many fields takes three times as long.
    """

    retention: Retention
    occurred_at: datetime
    id: UUID
    action: str
    outcome: str
    reason: str | None
    severity: str
    actor_type: str
    actor_id: str | None
    user_id: UUID | None
    session_id: UUID | None
    request_id: str | None
    subject_index: bytes | None


#: After this many, about a millisecond, the requests of the same process have their turn.
SLICE = 25
#: What stands before a value in `canonical`.
VALUE = Struct(">BI").pack
#: The columns of a head, in the order of the table.
COLUMNS = EntryHead.__struct_fields__


class AuditEntry(EntryHead, frozen=True, kw_only=True):
    """One event. `details` is JSON; it is sealed in the row, and all that identifies a person is in it."""

    details: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedMonth:
    """A month of one class that is gone."""

    retention: Retention
    month: str  #: as 2026_11
    entries: int


class AuditRepository:
    """`audit_logs`."""

    def __init__(self, run: Executor, codec: FieldCodec, ring: KeyRing) -> None:
        self._run = run
        self._codec = codec
        self._ring = ring

    async def insert_entries(self, entries: Sequence[AuditEntry], secrets: Mapping[UUID, bytes]) -> None:
        """Seal and insert entries, each under its hash; one that names a person is sealed with that person's secret.

        Raises KeyError for a person who is not in `secrets`.
        """
        await self._run.exec(sql.insert_entries, as_json(await self.seal_entries(entries, secrets)))

    async def seal_entries(self, entries: Sequence[AuditEntry], secrets: Mapping[UUID, bytes]) -> list[Row]:
        """Seal entries, for a statement that inserts them; raises KeyError as `insert_entries` does."""
        rows = []
        for number, entry in enumerate(entries, start=1):
            key = await self._ring.confirmed(Purpose.AUDIT_DATA, entry.occurred_at)
            rows.append(self._row(entry, key, secrets))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return rows

    async def make_partitions(self) -> int:
        """Make the partitions of the months to come; returns how many were missing."""
        made = await self._run.value(sql.make_partitions)
        return made if isinstance(made, int) else 0

    async def drop_expired_partition(self) -> DroppedMonth | None:
        """Drop the oldest month that is over for as long as it is kept, if it is sealed; None where there is none."""
        row = await self._run.one(sql.drop_expired_partition)
        return DroppedMonth(retention=row["retention"], month=row["month"], entries=row["entries"]) if row else None

    async def get_retention_days(self) -> int:
        """Return for how many days the schema's owner lets entries be kept."""
        days = await self._run.value(sql.get_retention_days)
        return days if isinstance(days, int) else 0

    async def uses_key(self, key_id: str) -> bool:
        """Tell whether the details of any entry are sealed under a key. May read the whole trail."""
        return bool(await self._run.value(sql.uses_key, key_id))

    def _row(self, entry: AuditEntry, key: Key, secrets: Mapping[UUID, bytes]) -> Row:
        further = secrets[entry.user_id] if entry.user_id else None
        details = self._codec.seal_under(key, entry.details, cell_of(entry), further=further)
        mac_key = self._ring.primary(Purpose.AUDIT_MAC)
        entry_hash = keyed_hash(mac_key, canonical(entry, details))
        return msgspec.structs.asdict(entry) | {
            "details": details.ciphertext,
            "details_key_id": details.key_id,
            "entry_hash": entry_hash,
            "entry_hash_key_id": mac_key.id,
        }


def cell_of(entry: EntryHead) -> Cell:
    """Return where an entry's details are sealed for."""
    return Cell("audit_logs", "details", entry.id)


def canonical(entry: EntryHead, details: Sealed) -> bytes:
    """Return the bytes that an entry's hash covers.

    Every column in the order of the table, each as a byte that tells NULL from a value, its length in four bytes
    and its UTF-8 or raw bytes: no two entries have the same encoding. Times are microseconds since 1970.
    """
    columns = (
        entry.retention,
        str(microseconds_of(entry.occurred_at)),
        entry.id.bytes,
        entry.action,
        entry.outcome,
        entry.reason,
        entry.severity,
        entry.actor_type,
        entry.actor_id,
        entry.user_id.bytes if entry.user_id else None,
        entry.session_id.bytes if entry.session_id else None,
        entry.request_id,
        entry.subject_index,
        details.ciphertext,
        details.key_id,
    )
    message = bytearray(b"cypher/v1/audit\x00")
    for column in columns:
        if column is None:
            message += b"\x00"
        else:
            raw = column.encode() if isinstance(column, str) else column
            message += VALUE(1, len(raw))
            message += raw
    return bytes(message)
