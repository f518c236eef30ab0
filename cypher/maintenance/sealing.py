"""Seals the audit trail: closes what was written, about once a second, under a signed root, one instance at a time.

Nobody who writes waits for it, and it waits for nobody: what an open transaction may still add to is left for later.
"""

import logging

from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.sealing import NOTHING, Statement, root_over
from cypher.crypto.signing import sign
from cypher.errors import TrailBroken
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.audit_seals import LastSeal, Seal, Settled

logger = logging.getLogger("cypher.audit")

PAUSE_SECONDS = 1.0
#: Entries of one seal, or a few more: to read and to hash them takes 3 ms at a stretch, for which the requests of the
#: same process wait.
MOST = 1000


class Sealer:
    """What one instance does; it remembers where it has seen the chain end."""

    def __init__(self, *, db: Database[Repositories], ring: KeyRing, clock: Clock) -> None:
        self._db = db
        self._ring = ring
        self._clock = clock
        self._seen: Statement | None = None
        self._broken = False

    @property
    def last(self) -> Statement | None:
        """The last seal that this instance has seen."""
        return self._seen

    async def seal(self) -> int:
        """Seal all that can be sealed now; returns how many entries that were, 0 also where another instance does it.

        Raises TrailBroken, and seals nothing, when the chain does not go on from where it was seen to end: over a cut
        one no new one may grow.
        """
        sealed = 0
        while count := await self._seal_some():
            sealed += count
            if count < MOST:
                break
        return sealed

    async def _seal_some(self) -> int:
        async with self._db.transaction() as repos:
            if not await repos.audit_seals.try_sealing():
                return 0
            last = await repos.audit_seals.get_last_seal()
            await self._require_grown(repos, last)
            settled = await self._settled(repos, last)
            if settled is None:
                return 0
            seal = await self._made(settled, last)
            await repos.audit_seals.insert_seal(seal, settled.leaves)
        self._seen = seal.statement
        return len(settled.leaves)

    async def _settled(self, repos: Repositories, last: LastSeal | None) -> Settled | None:
        if last is not None and last.counts_anew:
            return await repos.audit_seals.list_brought()
        return await repos.audit_seals.list_settled(last.seal.statement.through_xid if last else 0, MOST)

    async def _made(self, settled: Settled, last: LastSeal | None) -> Seal:
        key = await self._ring.confirmed(Purpose.AUDIT)
        statement = Statement(
            seal_no=last.seal.statement.seal_no + 1 if last else 1,
            through_xid=settled.through_xid,
            count=len(settled.leaves),
            root=root_over(settled.leaves),
            previous=last.seal.statement.digest() if last else NOTHING,
            sealed_at=self._clock.now(),
        )
        return Seal(statement=statement, signature=sign(key, statement.message()), signing_key_id=key.id)

    async def _require_grown(self, repos: Repositories, last: LastSeal | None) -> None:
        """Refuse a chain that has lost the end that was seen here, and take note of the new end."""
        seen = self._seen
        if seen is not None:
            found = await repos.audit_seals.list_seals(seen.seal_no - 1, 1)
            if [seal.statement for seal in found] != [seen]:
                self._say_broken(seen)
                raise TrailBroken
        self._seen = last.seal.statement if last else None

    def _say_broken(self, seen: Statement) -> None:
        if not self._broken:
            self._broken = True
            logger.critical(
                "seal %d of the audit trail is gone or another one: this instance seals nothing any more. Keep the "
                "database as it is and run `cypher audit verify` with the newest checkpoint",
                seen.seal_no,
            )
