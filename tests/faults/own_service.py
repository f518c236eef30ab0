"""A process of the service that a fault may kill and start again."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.acceptance.service import ROOT, free_port
from tests.faulty_proxy import HOST

START_SECONDS = 30
#: What the service has to drain, and a moment.
STOP_SECONDS = 35


class OwnService:
    """It comes back on the same port; its log is a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._port = free_port()
        self._environment = {
            **{"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_FORMAT": "human", "LOG_LEVEL": "info"},
            **environment,
            "PORT": str(self._port),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "run.py"], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    async def start(self) -> None:
        """Start it and return when it is ready."""
        self.spawn()
        assert self._process is not None
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as http:
            while not await self._is_ready(http):
                assert self._process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """Kill it where it stands; a second time does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> int:
        """Ask it to end, while proxies go on; returns its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, STOP_SECONDS)
