"""What a fault is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from tests.faults.books import Books, Phase
from tests.faults.traffic import SESSION, Traffic
from tests.faults.world import OwnServers, World, world


class Fault(ABC):
    """Something that goes wrong under traffic for some seconds, and then is over."""

    name: ClassVar[str]
    seconds: ClassVar[float] = 3.0  #: from `begin` to `end`
    #: Which of `postgres` and `redis` the service reaches through a proxy.
    through: ClassVar[frozenset[str]] = frozenset()
    cuts_clients: ClassVar[bool] = False  #: whether clients lose their connections to the service by it

    def __init__(self, world: World, traffic: Traffic) -> None:
        self.world = world
        self.traffic = traffic

    @classmethod
    def place(cls, servers: OwnServers) -> AbstractAsyncContextManager[World]:
        """Start what it happens to; a fault of servers of another shape has its own."""
        return world(servers, cls.through)

    @abstractmethod
    async def begin(self) -> None: ...

    async def end(self) -> None:
        """Put an end to it; nothing where it passes by itself."""
        return

    async def come_back(self) -> bool:
        """Let what was replaced come back, under traffic still; False where nothing does."""
        return False

    def surprises(self, books: Books) -> Iterator[str]:
        """Say what happened otherwise than the design's table of losses has it; all else is judged for every fault."""
        yield from ()


class NoFault(Fault):
    """What the others are compared with."""

    name = "none"

    async def begin(self) -> None:
        return


class PostgresFault(Fault):
    """PostgreSQL is lost: what is cached is answered, all else is 503."""

    async def come_back(self) -> bool:
        """Let what was replaced come back, under traffic still; False where nothing does."""
        return False

    def surprises(self, books: Books) -> Iterator[str]:
        if not any(each.status == 200 for each in books.of(Phase.DURING, route=SESSION)):
            yield "no session was answered from the cache"
        if not any(each.status == 503 for each in books.of(Phase.DURING)):
            yield "nobody has noticed it"


class RedisFault(Fault):
    """Redis is lost: sessions go on from PostgreSQL, logins are 503."""

    stops_logins: ClassVar[bool] = True

    async def come_back(self) -> bool:
        """Let what was replaced come back, under traffic still; False where nothing does."""
        return False

    def surprises(self, books: Books) -> Iterator[str]:
        looked = books.of(Phase.DURING, Phase.AFTER, route=SESSION)
        if failed := sum(each.failed for each in looked):
            yield f"{failed} of {len(looked)} sessions were not answered"
        if self.stops_logins and not any(each.status == 503 for each in books.of(Phase.DURING, route="POST /v1/login")):
            yield "no login was refused"
