"""Hands jobs to clients: to wrk where it is installed and can do them, otherwise to our own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench.harness import Tally
from bench.load import wrk
from bench.load.client import HEADER_BYTES
from bench.load.jobs import Job, Outcome
from bench.processes import ROOT, stop
from cypher.errors import OperatorError


class Load:
    """A client process of our own, and wrk beside it."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, *, may_use_wrk: bool) -> None:
        """Take over a process; use `loads`."""
        self._process = process
        self._folder = folder
        self._wrk = wrk.path() if may_use_wrk else None

    async def cycle(self, port: int, requests: Sequence[bytes], *, at_once: int, seconds: float) -> Tally:
        """Send requests that can be answered again and again, all to be answered 200, for so long."""
        job = Job(port=port, requests=list(requests), status=200, at_once=at_once, seconds=seconds)
        if self._wrk:
            return _good(await wrk.perform(self._wrk, job, self._folder)).tally()
        return (await self._perform(job)).tally()

    async def each(self, port: int, requests: Sequence[bytes], *, at_once: int, status: int = 200) -> Outcome:
        """Send every request once; latencies and bodies come in their order."""
        return await self._perform(Job(port=port, requests=list(requests), status=status, at_once=at_once))

    async def probe(self, port: int, request: bytes, *, seconds: float, pause: float) -> Tally:
        """Send one request at a time, with a pause after each answer."""
        job = Job(port=port, requests=[request], status=200, at_once=1, seconds=seconds, pause=pause)
        return (await self._perform(job)).tally()

    async def _perform(self, job: Job) -> Outcome:
        told = msgspec.msgpack.encode(job)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(len(told).to_bytes(HEADER_BYTES) + told)
        try:
            header = await self._process.stdout.readexactly(HEADER_BYTES)
            said = await self._process.stdout.readexactly(int.from_bytes(header))
        except asyncio.IncompleteReadError as exc:
            raise OperatorError("The client that sends requests has ended.") from exc
        return _good(msgspec.msgpack.decode(said, type=Outcome))


@asynccontextmanager
async def loads(folder: Path, *, may_use_wrk: bool = True) -> AsyncIterator[Load]:
    """Start a client process, and end it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Load(process, folder, may_use_wrk=may_use_wrk)
    finally:
        await stop(process)


def _good(outcome: Outcome) -> Outcome:
    if outcome.problem:
        raise OperatorError(f"A wrong answer is not measured: {outcome.problem}")
    return outcome
