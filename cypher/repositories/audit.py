"""The audit trail: entries are added, each under a keyed hash of all that it says. Nothing here changes one."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Literal
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.mac import keyed_hash
from cypher.postgres import Executor, Record

sql = sqlfiles.load("audit_logs")

Retention = Literal["long", "short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHead:
    """All of an entry that stands in the row in the clear, in the order of the table."""

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


#: The columns of a head, in the order of the table.
COLUMNS = tuple(field.name for field in fields(EntryHead))
CLEAR = attrgetter(*COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry(EntryHead):
    """One event. `details` is JSON; it is sealed in the row, and all that identifies a person is in it."""

    details: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry(EntryHead):
    """An entry as it stands in the row."""

    details: Sealed
    entry_hash: bytes  #: 32 bytes
    entry_hash_key_id: str


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
        rows = [await self._row(entry, secrets) for entry in entries]
        await self._run.exec(sql.insert_entries, *zip(*rows, strict=True))

    async def open_details(self, entry: StoredEntry, secrets: Mapping[UUID, bytes]) -> bytes:
        """Return the JSON of an entry's details; raises FieldDoesNotOpen, also where a person was erased."""
        further = secrets.get(entry.user_id, b"") if entry.user_id else None
        return await self._codec.open(entry.details, _cell(entry), further=further)

    def is_authentic(self, entry: StoredEntry) -> bool:
        """Tell whether an entry says what it said as it was written."""
        key = self._ring.find(entry.entry_hash_key_id)
        if key is None or key.purpose is not Purpose.AUDIT_MAC:
            return False
        return hmac.compare_digest(keyed_hash(key, canonical(entry, entry.details)), entry.entry_hash)

    async def make_partitions(self) -> int:
        """Make the partitions of the months to come; returns how many were missing."""
        made = await self._run.value(sql.make_partitions)
        return made if isinstance(made, int) else 0

    async def _row(self, entry: AuditEntry, secrets: Mapping[UUID, bytes]) -> tuple[object, ...]:
        details = await self._codec.seal(
            entry.details,
            _cell(entry),
            Purpose.AUDIT_DATA,
            at=entry.occurred_at,
            further=secrets[entry.user_id] if entry.user_id else None,
        )
        key = self._ring.primary(Purpose.AUDIT_MAC)
        entry_hash = keyed_hash(key, canonical(entry, details))
        return (*CLEAR(entry), details.ciphertext, details.key_id, entry_hash, key.id)


def _cell(entry: EntryHead) -> Cell:
    return Cell("audit_logs", "details", entry.id)


def stored_entry(row: Record) -> StoredEntry:
    """Return the entry in a row of the trail."""
    return StoredEntry(
        **{name: row[name] for name in COLUMNS},
        details=Sealed(row["details"], row["details_key_id"]),
        entry_hash=row["entry_hash"],
        entry_hash_key_id=row["entry_hash_key_id"],
    )


def canonical(entry: EntryHead, details: Sealed) -> bytes:
    """Return the bytes that an entry's hash covers.

    Every column in the order of the table, each as a byte that tells NULL from a value, its length in four bytes
    and its UTF-8 or raw bytes: no two entries have the same encoding. Times are microseconds since 1970.
    """
    columns = (
        entry.retention,
        str(round(entry.occurred_at.timestamp() * 1_000_000)),
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
    return b"cypher/v1/audit\x00" + b"".join(_framed(column) for column in columns)


def _framed(column: str | bytes | None) -> bytes:
    if column is None:
        return b"\x00"
    raw = column.encode() if isinstance(column, str) else column
    return b"\x01" + len(raw).to_bytes(4, "big") + raw
