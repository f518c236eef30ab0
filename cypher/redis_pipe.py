"""One connection that all share: commands go out in the order they come, and answers are handed out in it.

A call of redis-py takes a connection of its own from a pool, with a time-out for each step. Who shares a connection
waits for those before: nothing slow may be asked here.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

Word = str | bytes | int

#: When an answer is late, the loop may have been held up with the answer in the socket: time to read it.
GRACE_SECONDS = 0.01

#: Its stub takes commands of one word only.
_pack = cast(Callable[[tuple[Word, ...]], bytes], hiredis.pack_command)


class Pipe:
    """Connects as the driver's pool does: when it is first needed, and after the connection was lost."""

    def __init__(self, pool: ConnectionPool, *, connect_seconds: float, answer_seconds: float) -> None:
        """Take a pool to be given connections by, and how long that and an answer may take."""
        self._pool = pool
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, *words: Word) -> object:
        """Send a command and return its answer; raises the driver's errors, and TimeoutError.

        Who is cancelled takes nothing from the others.
        """
        line = self._line
        if line is None or line.lost:
            line = await self._connect()
        return await line.ask(_pack(words))

    async def close(self) -> None:
        """End the connection; whoever waits fails."""
        if self._line:
            await self._line.close()

    async def _connect(self) -> "_Line":
        take: Callable[[], Awaitable[AbstractConnection]] = self._pool.get_connection
        async with asyncio.timeout(self._connect_seconds), self._connecting:
            if self._line is None or self._line.lost:
                self._line = _Line(await take(), self._pool, self._answer_seconds)
            return self._line


class _Line:
    """A connection from when it is taken from the pool until it is lost."""

    def __init__(self, connection: AbstractConnection, pool: ConnectionPool, seconds: float) -> None:
        self.lost = False
        self._connection = connection
        self._pool = pool
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        #: Who waits for an answer, and since when.
        self._waiting: deque[tuple[asyncio.Future[object], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._reading = self._loop.create_task(self._read())

    async def ask(self, command: bytes) -> object:
        if self.lost:
            raise RedisConnectionError("closed")
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(command)
        answer: asyncio.Future[object] = self._loop.create_future()
        self._waiting.append((answer, self._loop.time()))
        if self._watch is None:
            self._watch = self._loop.call_later(self._seconds, self._look)
        return await answer

    async def close(self) -> None:
        self._leave(RedisConnectionError("closed"))
        await asyncio.wait([self._reading])

    def _send(self) -> None:
        """Send all that was asked in this turn of the loop: each time to send costs more than making a command."""
        commands = b"".join(self._unsent)
        self._unsent.clear()
        # Not by the driver's own way to send, which makes a task for its time-out. Nobody has to wait until it is sent:
        # how much is under way is bounded by who asks.
        if self._connection._writer and not self.lost:
            self._connection._writer.write(commands)

    async def _read(self) -> None:
        """Hand out answers until the connection ends, which it may do while nobody waits."""
        try:
            while True:
                answer = await self._answer()
                waiting, _ = self._waiting.popleft()
                if waiting.done():
                    continue  # cancelled: the answer is nobody's
                if isinstance(answer, ResponseError):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        except (RedisError, OSError) as exc:
            self._lose(exc)
        finally:
            self._lose(RedisConnectionError("lost"))
            await self._connection.disconnect(nowait=True)
            await self._pool.release(self._connection)

    async def _answer(self) -> object:
        try:
            return await self._connection.read_response(timeout=math.inf)
        except ResponseError as exc:
            return exc

    def _look(self) -> None:
        """Look whether the oldest answer is late, and again when the next one could be."""
        self._watch = None
        if not self._waiting:
            return
        answer, since = self._waiting[0]
        left = since + self._seconds - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._watch = self._loop.call_later(GRACE_SECONDS, self._lose_unless_read, answer)

    def _lose_unless_read(self, answer: "asyncio.Future[object]") -> None:
        if self._waiting and self._waiting[0][0] is answer:
            self._leave(TimeoutError("no answer in time"))
        else:
            self._look()

    def _leave(self, failure: Exception) -> None:
        self._lose(failure)
        self._reading.cancel()

    def _lose(self, failure: Exception) -> None:
        self.lost = True
        if self._watch:
            self._watch.cancel()
        for waiting, _ in self._waiting:
            if not waiting.done():
                waiting.set_exception(failure)
