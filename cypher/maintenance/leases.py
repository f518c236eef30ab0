"""Counts what is sealed under data keys, over all processes and hosts together, by reserving uses in blocks.

A block is reserved in the database before any of it is used: a crash wastes the rest, and nothing is ever sealed
uncounted. A key that has no block left under its limit is replaced on the spot.
"""

import asyncio
import logging
from typing import TypeVar

from cypher.crypto.keyring import Key, KeyInfo, KeyRing, Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from cypher.maintenance.key_identity import HoldsDeployment
from cypher.postgres import Database

logger = logging.getLogger("cypher.maintenance")

R = TypeVar("R", bound=HoldsDeployment)


class Leases:
    """The `UseCount` of a codec. Asks on connections of its own: who seals holds one of the pool already."""

    def __init__(self, db: Database[R], ring: KeyRing, limit: int) -> None:
        self._db = db
        self._ring = ring
        self._limit = limit
        self._block = max(1, limit // 1000)
        self._key_id = ""
        self._left = 0
        self._reserving = asyncio.Lock()
        #: Keys made here of which the audit trail does not know yet.
        self.made: list[KeyInfo] = []

    def take(self, key_id: str) -> bool:
        """Take one use; False when none of this key is reserved."""
        if key_id != self._key_id or self._left == 0:
            return False
        self._left -= 1
        return True

    async def reserve(self, key: Key) -> None:
        """Reserve a block of the key, or replace the key when its uses are used up; one caller at a time asks."""
        async with self._reserving:
            if (self._key_id == key.id and self._left) or self._ring.primary(Purpose.DATA).id != key.id:
                return
            if await self._reserved(key, most=self._limit):
                return
            try:
                await asyncio.to_thread(self._replace, key)
            except KeyStoreRefused as refusal:
                # The limit is policy: nobody is kept out because the next key cannot be written.
                logger.error("the key %s has served long enough and goes on: %s", key.id, refusal)
                if not await self._reserved(key, most=None):
                    raise

    def _replace(self, key: Key) -> None:
        # Noted here and not by who awaits it: a request that has run out of time does not stop the thread.
        made = rotate(self._ring, Purpose.DATA, replacing=key.id)
        self.made.extend([made] if made else [])

    async def _reserved(self, key: Key, *, most: int | None) -> bool:
        async with self._db.connection() as repos:
            if not await repos.deployment.reserve_operations(key.id, self._block, most):
                return False
        self._key_id, self._left = key.id, self._block
        return True
