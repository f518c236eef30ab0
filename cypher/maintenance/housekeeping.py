"""What must happen now and then: learn of new keys, make the next months' audit partitions, forget ended tokens."""

import asyncio
import logging

from cypher.crypto.keyring import KeyRing
from cypher.errors import OperatorError, Unavailable
from cypher.postgres import Database
from cypher.repositories import Repositories

logger = logging.getLogger("cypher.maintenance")

#: A key that another process has made is known here after this time; to meet its id is faster.
RELOAD_SECONDS = 5.0
#: Partitions are made two months ahead, ended tokens live for minutes: once an hour is often enough for both.
ROUNDS_A_SWEEP = 720


async def keep_house(db: Database[Repositories], ring: KeyRing) -> None:
    """Run until cancelled. What fails is logged and tried again in the next round."""
    round_ = 0
    while True:
        try:
            await asyncio.to_thread(ring.reload)
            if round_ % ROUNDS_A_SWEEP == 0:
                await _sweep(db)
        except (Unavailable, OperatorError) as exc:
            logger.warning("housekeeping is put off: %s", exc.code)
        round_ += 1
        await asyncio.sleep(RELOAD_SECONDS)


async def _sweep(db: Database[Repositories]) -> None:
    async with db.connection() as repos:
        await repos.audit.make_partitions()
        await repos.blacklist.delete_expired()
