"""Processes of their own, so that the CPU of one is not that of another: the service, and what loads it."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cypher.errors import OperatorError

ROOT = Path(__file__).parents[1]
START_SECONDS = 30.0
LAST_WORDS = 500  #: characters of its log that are shown of a process that has failed


@dataclass(frozen=True, slots=True)
class Running:
    """A server on loopback in a process of its own."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Return the CPU-seconds that all threads of the process have used."""
        return cpu_of(self.pid)


def cpu_of(pid: int) -> float:
    """Return utime and stime of a process, as /proc/PID/stat has them, to the nanosecond.

    That file counts in steps of 10 ms, too coarse for a round of logins. The kernel's clock of a process has the
    same sum; its number is made like `clock_getcpuclockid(3)` does, which Python does not offer.
    """
    return time.clock_gettime(~pid << 3 | 2)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@asynccontextmanager
async def server(
    *command: str, environment: Mapping[str, str], folder: Path, said: str, port: int
) -> AsyncIterator[Running]:
    """Run a Python program that prints `said` when it answers on `port`, and end it.

    Its standard error goes to a file in `folder`, where it also runs, so that it finds no `.env`.
    """
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        if not await _says(process, said):
            raise OperatorError(f"A process did not begin to answer: {_log_of(log)}")
        yield Running(port, process.pid)
    finally:
        await stop(process)


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, and wait for it."""
    if process.returncode is None:
        process.terminate()
        await process.wait()


def _log_of(log: Path) -> str:
    return log.read_text().strip()[-LAST_WORDS:] or "it said nothing"


async def _says(process: asyncio.subprocess.Process, text: str) -> bool:
    assert process.stdout
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            async for line in process.stdout:
                if text in line.decode():
                    return True
    return False


def service(settings: Mapping[str, str], folder: Path, **changes: str) -> AbstractAsyncContextManager[Running]:
    """Run Cypher itself, as an operator does."""
    port = free_port()
    return server(
        *("-m", "cypher", "serve"),
        environment={**settings, "PORT": str(port), **changes},
        folder=folder,
        said="Cypher answers",
        port=port,
    )
