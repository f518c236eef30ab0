"""What must happen now and then: look after the keys, make the next months' audit partitions, forget old tokens."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cypher.maintenance.key_keeping import KeyKeeper
from cypher.postgres import Database
from cypher.repositories import Repositories

logger = logging.getLogger("cypher.maintenance")

#: A key that another process has made is known here within five seconds: a round takes some time itself.
ROUND_SECONDS = 4.0
#: Partitions are made two months ahead, ended tokens live for minutes: once an hour is often enough for both.
ROUNDS_A_SWEEP = 900


async def repeat(work: Callable[[], Awaitable[object]], *, pause: float = ROUND_SECONDS) -> None:
    """Do it again and again until cancelled. What fails is logged and tried again in the next round."""
    while True:
        try:
            await work()
        except Exception as exc:
            # Whatever it is: without this task there are no partitions in two months, and then no logins. The text
            # of an error may hold values.
            logger.error("maintenance failed and is tried again: %s", type(exc).__qualname__)
        await asyncio.sleep(pause)


class House:
    """What every instance does beside its requests."""

    def __init__(self, keys: KeyKeeper, db: Database[Repositories]) -> None:
        self._keys = keys
        self._db = db
        self._rounds = 0

    async def keep(self) -> None:
        """Do one round."""
        await self._keys.keep()
        if self._rounds % ROUNDS_A_SWEEP == 0:
            await self._sweep()
        self._rounds += 1

    async def _sweep(self) -> None:
        async with self._db.connection() as repos:
            await repos.audit.make_partitions()
            await repos.blacklist.delete_expired()
            await repos.recovery_tokens.delete_expired()
