"""Work that goes on to its end when nobody waits for it any more.

A key store is no part of the database: between the change of the one and the entry in the other a deadline, or a
client that hangs up, must not come.
"""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Unbroken:
    """Runs each piece of work as a task of its own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, work: Coroutine[object, object, T]) -> T:
        """Do it and return what comes of it; whoever waits here may be cancelled, the work is not."""
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
