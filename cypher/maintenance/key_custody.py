"""What a key custodian asks for: the same at the command line and over HTTP."""

import asyncio
from datetime import datetime

import msgspec

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import key_event
from cypher.auth.opaque import new_setup
from cypher.auth.source import Source
from cypher.crypto.keyring import Algorithm, KeyInfo, KeyRing, Purpose, RotationPolicy, State
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from cypher.maintenance.key_identity import note_ring
from cypher.maintenance.key_status import key_status
from cypher.maintenance.retirement import Destroyed, Retirement
from cypher.maintenance.unbroken import Unbroken
from cypher.postgres import Database
from cypher.repositories import Repositories


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and what hangs on it; never what it is made of."""

    id: str
    purpose: Purpose
    algorithm: Algorithm
    state: State
    created_at: datetime
    activated_at: datetime | None
    replaced_at: datetime | None  #: when the next one took over
    operations: int | None  #: values sealed; None where they are not counted
    rows_remaining: int | None  #: values in the database that need it; None where nothing is counted
    next_rotation_at: datetime | None  #: by age


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Every key that was ever made, oldest first."""

    items: tuple[KeyView, ...]


def view_of(info: KeyInfo) -> KeyView:
    """Return what an operator is shown of a key."""
    return msgspec.convert(info, KeyView, from_attributes=True)


class KeyCustody:
    """Look at the keys, make the next one, destroy an old one."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        audit: Audit,
        policy: RotationPolicy,
        retirement: Retirement,
    ) -> None:
        """`db` is one whose statements may take their time: whole tables are counted."""
        self._db = db
        self._ring = ring
        self._audit = audit
        self._policy = policy
        self._retirement = retirement
        self._unbroken = Unbroken()

    async def list_keys(self) -> KeyList:
        """Return every key with what hangs on it."""
        await asyncio.to_thread(self._ring.reload)
        infos = await key_status(self._db, self._ring, self._policy)
        return KeyList(items=tuple(view_of(info) for info in infos))

    async def rotate(self, purpose: Purpose, algorithm: Algorithm | None, source: Source | None = None) -> KeyView:
        """Make the next key; raises Unfit, KeyPending or KeyStoreRefused, and has made none."""
        return await self._unbroken.run(self._rotate(purpose, algorithm, source))

    async def destroy(self, key_id: str, source: Source | None = None) -> Destroyed:
        """Destroy a key; raises KeyInUse or Absent, and has destroyed none."""
        return await self._unbroken.run(self._retirement.destroy(key_id, source))

    async def finish(self) -> None:
        """Wait for what is under way."""
        await self._unbroken.finish()

    async def _rotate(self, purpose: Purpose, algorithm: Algorithm | None, source: Source | None) -> KeyView:
        secret = new_setup() if purpose is Purpose.OPAQUE else None
        key = await asyncio.to_thread(rotate, self._ring, purpose, algorithm=algorithm, secret=secret)
        if key is None:
            raise KeyStoreRefused(f"There is no active key for {purpose} to be replaced.")
        async with self._db.transaction() as repos:
            await note_ring(repos.deployment, self._ring)
            await self._audit.record(repos, Happening(event=key_event(key.purpose, key.state), note=key.id), source)
        return view_of(key)
