"""Brings notices to the operator's mailer beside the requests, and again when it does not take them.

A notice lives in this process only, since its token is stored nowhere: what a crash or a mailer that stays away takes
with it, its owner asks for again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from cypher.auth.recovery_requests import Notice, RecoveryRequests
from cypher.errors import Unavailable

logger = logging.getLogger("cypher.recovery")

#: Whether the mailer has taken a notice. Raises nothing for a mailer that is away.
Deliver = Callable[[Notice], Awaitable[bool]]

#: Seconds before each try: six minutes in all, far less than a token lives.
PAUSES = (0.0, 2.0, 10.0, 60.0, 300.0)
#: Calls at a time: a mailer is small, and a slow one must not keep the others waiting.
AT_ONCE = 4
#: Notices in hand, each of about a kilobyte. A mailer that is away for long costs those beyond.
MOST = 1000
#: How long the database is left alone after it was away.
REST_SECONDS = 1.0
#: What a service that is asked to stop gives to what is in hand.
SETTLE_SECONDS = 5.0


class Deliveries:
    """Runs as long as the service does: `work`, and at the end `settle`."""

    def __init__(
        self, requests: RecoveryRequests, deliver: Deliver, *, pauses: Sequence[float] = PAUSES, most: int = MOST
    ) -> None:
        self._requests = requests
        self._deliver = deliver
        self._pauses = pauses
        self._most = most
        self._calls = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Take one request after the other, for ever; each is delivered beside this."""
        while True:
            try:
                notice = await self._requests.next_notice()
            except Unavailable:
                await asyncio.sleep(REST_SECONDS)
                continue
            if notice is not None:
                self._begin(notice)

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Give what is in hand some seconds to arrive; call it when no more can come, and `work` has ended."""
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(seconds):
                while self._requests.waiting:
                    if notice := await self._requests.next_notice():
                        self._begin(notice)
                while self._under_way:
                    await asyncio.wait(self._under_way)
        left = [*self._under_way]
        if left or self._requests.waiting:
            count = len(left) + self._requests.waiting
            logger.error("%d notice(s) did not reach RECOVERY_WEBHOOK before the end", count)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _begin(self, notice: Notice) -> None:
        if len(self._under_way) >= self._most:
            logger.error("RECOVERY_WEBHOOK is behind by %d notices: notice %s is dropped", self._most, notice.id)
            return
        task = asyncio.create_task(self._bring(notice))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    async def _bring(self, notice: Notice) -> None:
        for pause in self._pauses:
            await asyncio.sleep(pause)
            async with self._calls:
                if await self._deliver(notice):
                    return
        logger.error("notice %s did not reach RECOVERY_WEBHOOK and is given up", notice.id)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a delivery to RECOVERY_WEBHOOK failed: %s", type(error).__qualname__)
