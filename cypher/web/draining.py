"""A listener's last moments: it is ready no more, and what is under way on it is counted until nothing is left."""

import asyncio


class Draining:
    """Whether one listener is about to stop, and how many requests it has begun and not answered."""

    __slots__ = ("_idle", "announced", "under_way")

    def __init__(self) -> None:
        self.announced = False
        self.under_way = 0
        self._idle: asyncio.Event | None = None

    def announce(self) -> None:
        """Be ready no more; every connection closes with its next answer."""
        self.announced = True

    def begin(self) -> None:
        """Count a request that has come."""
        self.under_way += 1

    def end(self) -> None:
        """Count it as answered."""
        self.under_way -= 1
        if self._idle and not self.under_way:
            self._idle.set()

    async def finished(self) -> None:
        """Wait until nothing is under way."""
        if self.under_way:
            self._idle = asyncio.Event()
            await self._idle.wait()
