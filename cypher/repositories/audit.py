"""The audit trail: entries are added, each under a keyed hash of all that it says. Nothing here changes one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.mac import keyed_hash
from cypher.postgres import Executor

sql = sqlfiles.load("audit_logs")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One event. `details` is JSON; it is sealed in the row, and all that identifies a person is in it."""

    id: UUID
    occurred_at: datetime
    retention: Literal["long", "short"]
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
    details: bytes


class AuditRepository:
    """`audit_logs`."""

    def __init__(self, run: Executor, codec: FieldCodec, ring: KeyRing) -> None:
        self._run = run
        self._codec = codec
        self._ring = ring

    async def insert_entry(self, entry: AuditEntry) -> None:
        """Seal and insert an entry under its hash."""
        details = await self._codec.seal(entry.details, Cell("audit_logs", "details", entry.id), Purpose.AUDIT_DATA)
        key = self._ring.primary(Purpose.AUDIT_MAC)
        await self._run.exec(
            sql.insert_entry,
            entry.retention,
            entry.occurred_at,
            entry.id,
            entry.action,
            entry.outcome,
            entry.reason,
            entry.severity,
            entry.actor_type,
            entry.actor_id,
            entry.user_id,
            entry.session_id,
            entry.request_id,
            entry.subject_index,
            details.ciphertext,
            details.key_id,
            keyed_hash(key, canonical(entry, details)),
            key.id,
        )

    async def make_partitions(self) -> int:
        """Make the partitions of the months to come; returns how many were missing."""
        made = await self._run.value(sql.make_partitions)
        return made if isinstance(made, int) else 0


def canonical(entry: AuditEntry, details: Sealed) -> bytes:
    """Return the bytes that an entry's hash covers.

    Every column in the order of the table, each as a byte that tells NULL from a value, its length in four bytes
    and its UTF-8 or raw bytes: no two entries have the same encoding. Times are microseconds since 1970.
    """
    microseconds = round(entry.occurred_at.timestamp() * 1_000_000)
    columns = (
        entry.retention,
        str(microseconds),
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
