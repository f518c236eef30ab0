"""What must happen now and then: learn of new keys, make the next months' audit partitions, forget ended tokens."""

import asyncio
import logging

from cypher.maintenance.key_keeping import KeyKeeper
from cypher.postgres import Database
from cypher.repositories import Repositories

logger = logging.getLogger("cypher.maintenance")

#: A key that another process has made is known here after this time; to meet its id is faster.
ROUND_SECONDS = 5.0
#: Partitions are made two months ahead, ended tokens live for minutes: once an hour is often enough for both.
ROUNDS_A_SWEEP = 720


async def keep_house(keys: KeyKeeper, db: Database[Repositories], *, pause: float = ROUND_SECONDS) -> None:
    """Run until cancelled. What fails is logged and tried again in the next round."""
    rounds = 0
    while True:
        try:
            await keys.keep()
            if rounds % ROUNDS_A_SWEEP == 0:
                await _sweep(db)
            rounds += 1
        except Exception as exc:
            # Whatever it is: without this task there are no partitions in two months, and then no logins. The text
            # of an error may hold values.
            logger.error("housekeeping failed and is tried again: %s", type(exc).__qualname__)
        await asyncio.sleep(pause)


async def _sweep(db: Database[Repositories]) -> None:
    async with db.connection() as repos:
        await repos.audit.make_partitions()
        await repos.blacklist.delete_expired()
