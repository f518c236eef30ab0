"""A proxy between the service and a server that does to its connections what networks and crashes do to them.

As long as nobody asks for anything else it passes on what it gets.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Self

from cypher.config import PostgresConfig

HOST = "127.0.0.1"
CHUNK = 65_536
#: Codes in the place of a version with which a client of PostgreSQL first asks for TLS or GSSAPI.
ASKING = (80_877_103, 80_877_104)
Place = str | tuple[str, int]
READY = b"Z\x00\x00\x00\x05I"


@dataclass(eq=False)
class Connection:
    """One client's, with the one to the server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loses_answer: bool = False  #: whether what the server says next is swallowed, and the connection cut after it
    swallowed: bytes = b""

    def cut(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()

    async def cut_and_wait(self) -> None:
        self.cut()
        await asyncio.gather(self.client.wait_closed(), self.server.wait_closed(), return_exceptions=True)


class FaultyProxy:
    """Listens on a free port of 127.0.0.1 for a server at a socket's path, or at a host and port."""

    def __init__(self, server: Place) -> None:
        """Do not listen yet; call `open`."""
        self._server = server
        self._listener: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._seconds_a_byte = 0.0
        self._connections: set[Connection] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, server: Place) -> AsyncIterator[Self]:
        proxy = cls(server)
        await proxy.pass_on()
        try:
            yield proxy
        finally:
            await proxy.refuse()

    async def pass_on(self) -> None:
        """Do no harm (any more); what was held back goes on its way."""
        self._seconds_a_byte = 0.0
        self._passing.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, HOST, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def freeze(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._passing.clear()

    def trickle(self, seconds: float) -> None:
        """Pass on byte by byte, one in so many seconds."""
        self._seconds_a_byte = seconds

    def cut(self) -> None:
        """Cut every connection there is; new ones are taken."""
        for connection in list(self._connections):
            connection.cut()

    async def refuse(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.cut()
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connect(reader, writer)
        finally:
            self._handlers.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = self._server
        opened = asyncio.open_unix_connection(place) if isinstance(place, str) else asyncio.open_connection(*place)
        answers, server = await opened
        connection = Connection(writer, server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(connection, reader, server, self._listening(connection)))
                group.create_task(self._pump(connection, answers, writer, self._answering(connection)))
        except* OSError:
            pass
        finally:
            self._connections.discard(connection)
            await connection.cut_and_wait()

    async def _pump(
        self, connection: Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter, heard: "Heard"
    ) -> None:
        while data := await source.read(CHUNK):
            if not heard.passes(data):
                continue
            await self._passing.wait()
            if not self._seconds_a_byte:
                sink.write(data)
                await sink.drain()
                continue
            for byte in data:
                sink.write(bytes([byte]))
                await sink.drain()
                await asyncio.sleep(self._seconds_a_byte)
        connection.cut()

    def _listening(self, connection: Connection) -> "Heard":
        """Return who hears what the client says."""
        return Heard()

    def _answering(self, connection: Connection) -> "Heard":
        return Heard()


class Heard:
    """Hears what goes one way, and decides whether it goes on."""

    def passes(self, data: bytes) -> bool:
        return True


class PostgresProxy(FaultyProxy):
    """Also loses the answer to a COMMIT, by itself or in a statement: it reaches the server, and its answer nobody."""

    def __init__(self, server: Place) -> None:
        super().__init__(server)
        self._every = 0
        self._left = 0
        self._commits = 0
        self.lost = 0  #: answers that were swallowed

    def lose_commits(self, *, every: int = 1, most: int = 1_000_000) -> None:
        """Lose the answer to every so many-th COMMIT from now on, at most so many of them; none with `most` 0."""
        self._every, self._left, self._commits = every, most, 0

    def committing(self) -> bool:
        """Tell whether the answer to the COMMIT that is on its way is to be lost."""
        self._commits += 1
        if not self._left or self._commits % self._every:
            return False
        self._left -= 1
        self.lost += 1
        return True

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, config: PostgresConfig) -> AsyncIterator[tuple[Self, PostgresConfig]]:
        """Open one before the server of `config`; yields it and how to get there through it."""
        host, port = config.hosts[0], config.port
        async with cls.open(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)) as proxy:
            yield proxy, replace(config, hosts=(HOST,), port=proxy.port)

    def _listening(self, connection: Connection) -> Heard:
        return _Statements(self, connection)

    def _answering(self, connection: Connection) -> Heard:
        return _Answers(connection)


@dataclass
class _Statements(Heard):
    """Reads the frontend's messages (PostgreSQL's protocol 3.0): a type, a length with itself, a body."""

    proxy: PostgresProxy
    connection: Connection
    rest: bytes = b""
    started: bool = field(default=False)
    ending: set[bytes] = field(default_factory=set)  #: names of prepared statements
    in_transaction: bool = False

    def passes(self, data: bytes) -> bool:
        self.rest += data
        while (size := self._size()) is not None:
            message, self.rest = self.rest[:size], self.rest[size:]
            if not self.started:
                self.started = struct.unpack("!I", message[4:8])[0] not in ASKING
            elif self._commits(message) and self.proxy.committing():
                self.connection.loses_answer = True
        return True

    def _commits(self, message: bytes) -> bool:
        """Tell whether this is a COMMIT, or the one statement that ends a login and commits by itself."""
        kind, (first, second, *_) = message[:1], [*message[5:].split(b"\0"), b"", b""]
        if kind == b"P" and b"INSERT INTO user_sessions" in second:
            self.ending.add(first)
        if kind == b"B":  # portal, statement
            return second in self.ending and not self.in_transaction
        if kind != b"Q":
            return False
        word = first.strip(b"; ").upper()
        self.in_transaction = word.startswith(b"BEGIN") or (
            self.in_transaction and word not in (b"COMMIT", b"ROLLBACK")
        )
        return word == b"COMMIT"

    def _size(self) -> int | None:
        """Return the bytes of the message at the front, if it has arrived whole."""
        kind = 1 if self.started else 0
        if len(self.rest) < kind + 4:
            return None
        size = kind + int(struct.unpack("!I", self.rest[kind : kind + 4])[0])
        return size if len(self.rest) >= size else None


@dataclass
class _Answers(Heard):
    connection: Connection

    def passes(self, data: bytes) -> bool:
        if not self.connection.loses_answer:
            return True
        self.connection.swallowed += data
        # Not before it was done: then it would be a COMMIT that was lost, and not its answer.
        if self.connection.swallowed.endswith(READY):
            self.connection.cut()
        return False
