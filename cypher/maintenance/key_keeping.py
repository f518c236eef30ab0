"""What keys need without being asked: others' keys are learnt of, old ones replaced, and all of it is written down."""

import asyncio
import logging
from collections.abc import Iterable

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import key_event
from cypher.clock import Clock
from cypher.crypto.keyring import KeyInfo, KeyRing, RotationPolicy, State
from cypher.crypto.monthly import keep_months
from cypher.crypto.rotation import keep_by_age
from cypher.errors import KeyStoreRefused
from cypher.maintenance.key_entries import KeyEntries
from cypher.maintenance.key_identity import note_ring
from cypher.maintenance.leases import Leases
from cypher.postgres import Database
from cypher.repositories import Repositories

logger = logging.getLogger("cypher.maintenance")


class KeyKeeper:
    """One round looks at the store, at the age of the keys and at what the database knows of them."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        leases: Leases,
        audit: Audit,
        clock: Clock,
        policy: RotationPolicy,
    ) -> None:
        self._db = db
        self._ring = ring
        self._leases = leases
        self._audit = audit
        self._clock = clock
        self._policy = policy
        self._entries = KeyEntries(db=db, ring=ring, audit=audit, clock=clock)
        self._noted = 0
        self._problem = ""

    async def keep(self) -> None:
        """Do what is due. Several processes may do it at once: one of them makes the new key."""
        await asyncio.to_thread(self._ring.reload)
        if self._ring.healthy:
            await self._keep_by_age()
        await self.note()
        await self._entries.complete()

    async def note(self) -> None:
        """Tell the database of a newer ring, and the audit trail of the keys that were made here."""
        generation, made = self._ring.generation, tuple(self._leases.made)
        if generation == self._noted and not made:
            return
        async with self._db.transaction() as repos:
            await note_ring(repos.deployment, self._ring)
            await self._record(repos, made)
        self._noted = generation
        del self._leases.made[: len(made)]

    async def _keep_by_age(self) -> None:
        try:
            now = self._clock.now()
            self._leases.made.extend(await asyncio.to_thread(keep_by_age, self._ring, now, self._policy))
            self._leases.made.extend(await asyncio.to_thread(keep_months, self._ring, now))
        except KeyStoreRefused as refusal:
            # An old key goes on serving. Said once, not every five seconds.
            if str(refusal) != self._problem:
                logger.error("keys are due to be replaced and cannot be: %s", refusal)
            self._problem = str(refusal)
            return
        self._problem = ""

    async def _record(self, repos: Repositories, made: Iterable[KeyInfo]) -> None:
        for key in made:
            if key.state is not State.DECRYPT_ONLY:
                happening = Happening(event=key_event(key.purpose, key.state), note=key.id, by_itself=True)
                await self._audit.record(repos, happening, None)
