"""A small HTTP client, run as a process of its own: `python -m bench.load`.

It reads jobs from standard input and writes outcomes to standard output, each with its length before it. It knows just
enough HTTP/1.1 for the answers of Cypher: bodies with a Content-Length. Connections are kept from job to job, as a
proxy keeps them: to open one costs a service as much as to answer a small request.
"""

import asyncio
import itertools
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import cast

import msgspec
import uvloop

from bench.load.jobs import Job, Outcome

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.I)
HEADER_BYTES = 4


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own are not of its class, but have all that it has.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answer is None:
            return
        length = LENGTH.search(head)
        if len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the service closed the connection"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class Kept:
    """The connections to each port that no job is using."""

    def __init__(self) -> None:
        self._by_port: dict[int, list[Connection]] = {}

    async def take(self, port: int, count: int) -> list[Connection]:
        await asyncio.sleep(0)  # what has been closed since the last job is heard of now
        kept = [connection for connection in self._by_port.pop(port, []) if connection.is_open]
        loop = asyncio.get_running_loop()
        while len(kept) < count:
            kept.append((await loop.create_connection(Connection, "127.0.0.1", port))[1])
        self._by_port[port] = kept[count:]
        return kept[:count]

    def give_back(self, port: int, connections: list[Connection]) -> None:
        self._by_port.setdefault(port, []).extend(connections)


class Worker:
    """Sends what comes next, on a connection of its own, and keeps what came back by the place of its request."""

    def __init__(self, job: Job, turns: Iterator[tuple[int, bytes]], until: float) -> None:
        self._job = job
        self._turns = turns
        self._until = until
        self.answers: list[tuple[int, float, bytes]] = []
        self.problem: str | None = None

    async def work(self, connection: Connection) -> None:
        for place, request in self._turns:
            began = time.perf_counter()
            if began >= self._until:
                return
            status, body = await connection.ask(request)
            self.answers.append((place, time.perf_counter() - began, body if self._job.seconds is None else b""))
            if status != self._job.status:
                self.problem = f"{request.splitlines()[0].decode()} was answered {status}: {body[:300]!r}"
                return
            if self._job.pause:
                await asyncio.sleep(self._job.pause)


async def perform(job: Job, kept: Kept) -> Outcome:
    """Do a job."""
    pairs: Iterable[tuple[int, bytes]] = enumerate(job.requests)
    turns = iter(pairs) if job.seconds is None else itertools.cycle(pairs)
    count = min(job.at_once, len(job.requests)) if job.seconds is None else job.at_once
    connections: list[Connection] = []
    try:
        connections = await kept.take(job.port, count)
        began = time.perf_counter()
        workers = [Worker(job, turns, began + (job.seconds or float("inf"))) for _ in connections]
        await asyncio.gather(*(worker.work(each) for worker, each in zip(workers, connections, strict=True)))
    except OSError as exc:
        for connection in connections:
            connection.close()
        return Outcome(seconds=0, latencies=[], problem=str(exc))
    kept.give_back(job.port, connections)
    return _outcome(workers, time.perf_counter() - began)


def _outcome(workers: list[Worker], seconds: float) -> Outcome:
    answers = sorted((answer for worker in workers for answer in worker.answers), key=lambda answer: answer[0])
    return Outcome(
        seconds=seconds,
        latencies=[took for _, took, _ in answers],
        bodies=[body for _, _, body in answers],
        problem=next((worker.problem for worker in workers if worker.problem), None),
    )


def main() -> None:
    """Do jobs until standard input ends."""
    kept = Kept()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while header := sys.stdin.buffer.read(HEADER_BYTES):
            job = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(header)), type=Job)
            outcome = msgspec.msgpack.encode(runner.run(perform(job, kept)))
            sys.stdout.buffer.write(len(outcome).to_bytes(HEADER_BYTES) + outcome)
            sys.stdout.buffer.flush()
