"""The audit trail as it is read: newest first, or by the ids under a seal. Nothing is written here."""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cypher import sqlfiles
from cypher.clock import moment_of
from cypher.crypto.codec import FieldCodec, Sealed
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.mac import keyed_hash
from cypher.postgres import Executor, Record
from cypher.repositories.audit import COLUMNS, EntryHead, canonical, cell_of

sql = sqlfiles.load("trail")

EVER = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
FIRST_ID = UUID(int=0)
#: How far the time of an entry may be from the one in its id; `find_impostor` names what is further.
SLACK = timedelta(seconds=1)


class StoredEntry(EntryHead, frozen=True, kw_only=True):
    """An entry as it stands in the row."""

    details: Sealed
    entry_hash: bytes  #: 32 bytes
    entry_hash_key_id: str
    xid: int  #: of the transaction that wrote it


Entries = Mapping[UUID, StoredEntry]


@dataclass(frozen=True, slots=True)
class Spot:
    """Between two entries: what comes next, going back, is older than this time, or has it and a smaller id."""

    occurred_at: datetime = NEVER
    id: UUID = FIRST_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """What somebody wants to see; None for everything. A subject is a name's index under each index key."""

    action: str | None = None
    user_id: UUID | None = None
    subject: Sequence[bytes] | None = None
    since: datetime | None = None


class TrailRepository:
    """`audit_logs`, for reading."""

    def __init__(self, run: Executor, codec: FieldCodec, ring: KeyRing) -> None:
        self._run = run
        self._codec = codec
        self._ring = ring

    async def list_newest(self, wanted: TrailFilter, before: Spot, most: int) -> list[StoredEntry]:
        """Return the next entries before a spot, newest first."""
        where = (before.occurred_at, before.id, wanted.since or EVER, most)
        if wanted.user_id is not None:
            rows = await self._run.many(sql.list_newest_of_user, *where, wanted.user_id, wanted.action)
        elif wanted.subject is not None:
            rows = await self._run.many(sql.list_newest_of_subject, *where, wanted.subject, wanted.action)
        elif wanted.action is not None:
            rows = await self._run.many(sql.list_newest_of_action, *where, wanted.action)
        else:
            rows = await self._run.many(sql.list_newest, *where)
        return [_entry(row) for row in rows]

    async def find_entries(self, ids: Collection[UUID]) -> dict[UUID, StoredEntry]:
        """Return the entries of these ids that stand at the time that is in the id."""
        if not ids:
            return {}
        times = [moment_of(entry_id) for entry_id in ids]
        return await self._find(ids, min(times) - SLACK, max(times) + SLACK)

    async def find_entries_anywhere(self, ids: Collection[UUID]) -> dict[UUID, StoredEntry]:
        """Return the entries of these ids wherever they stand. Reads the whole trail."""
        return await self._find(ids, EVER, NEVER)

    async def list_unsealed(self, after: Spot | None, most: int) -> list[StoredEntry]:
        """Return entries without a leaf, oldest first."""
        spot = after or Spot(EVER)
        return [_entry(row) for row in await self._run.many(sql.list_unsealed, spot.occurred_at, spot.id, most)]

    async def find_impostor(self) -> UUID | None:
        """Return an id that stands there twice, or not at the time that it says. Reads the whole trail."""
        found = await self._run.value(sql.find_impostor)
        return found if isinstance(found, UUID) else None

    async def list_months(self) -> set[tuple[str, str]]:
        """Return the months that there are, by class, as 2026_11."""
        return {(row["retention"], row["month"]) for row in await self._run.many(sql.list_months)}

    async def open_details(self, entry: StoredEntry, secrets: Mapping[UUID, bytes]) -> bytes:
        """Return the JSON of an entry's details; raises FieldDoesNotOpen, also where a person was erased."""
        further = secrets.get(entry.user_id, b"") if entry.user_id else None
        return await self._codec.open(entry.details, cell_of(entry), further=further)

    def is_authentic(self, entry: StoredEntry) -> bool:
        """Tell whether an entry says what it said as it was written."""
        key = self._ring.find(entry.entry_hash_key_id)
        if key is None or key.purpose is not Purpose.AUDIT_MAC:
            return False
        return hmac.compare_digest(keyed_hash(key, canonical(entry, entry.details)), entry.entry_hash)

    async def _find(self, ids: Collection[UUID], since: datetime, until: datetime) -> dict[UUID, StoredEntry]:
        rows = await self._run.many(sql.list_of_ids, list(ids), since, until)
        return {row["id"]: _entry(row) for row in rows}


def _entry(row: Record) -> StoredEntry:
    return StoredEntry(
        **{name: row[name] for name in COLUMNS},
        details=Sealed(row["details"], row["details_key_id"]),
        entry_hash=row["entry_hash"],
        entry_hash_key_id=row["entry_hash_key_id"],
        xid=int(row["xid"]),
    )
