"""Databases with so many rows, and what a service opens over them: what scenarios stand on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.filling import fill
from bench.people import People, seed
from bench.servers import Servers
from cypher.app import Resources, resources
from cypher.auth.use_cases import Services
from cypher.clock import SystemClock
from cypher.config import PostgresConfig, load
from cypher.wiring import build_services

#: The smallest state, which all others are compared with.
SMALL = 1000
SIZES = (SMALL, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A database of `rows` people, each with a session and a refresh token, of which SMALL are real.

    The others are copies: their sealed values would not open, and nobody opens them.
    """

    rows: int
    settings: dict[str, str]  #: of a service on it
    postgres: PostgresConfig
    open_: Resources
    services: Services
    people: People
    folder: Path


@dataclass(slots=True, kw_only=True)
class Stands:
    """Makes each stand when it is first asked for, and keeps it to the end."""

    servers: Servers
    scale: int  #: rows of the largest
    concurrency: tuple[int, ...]  #: requests that are under way at once, over HTTP
    _closing: AsyncExitStack
    _made: dict[int, Stand] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        """Rows of the stands that are to be compared, the smallest first."""
        return [size for size in SIZES if size <= max(self.scale, SMALL)]

    async def of(self, rows: int) -> Stand:
        """Return the stand of so many rows."""
        if rows not in self._made:
            self._made[rows] = await self._closing.enter_async_context(stand_of(self.servers, rows))
        return self._made[rows]

    async def empty(self) -> Stand:
        return await self.of(0)

    async def small(self) -> Stand:
        return await self.of(SMALL)


@asynccontextmanager
async def stands(servers: Servers, *, scale: int, concurrency: tuple[int, ...]) -> AsyncIterator[Stands]:
    async with AsyncExitStack() as closing:
        yield Stands(servers=servers, scale=scale, concurrency=concurrency, _closing=closing)


@asynccontextmanager
async def stand_of(servers: Servers, rows: int) -> AsyncIterator[Stand]:
    """Make a stand for somebody alone."""
    with servers.database() as postgres:
        settings = servers.settings(postgres)
        async with resources(load(settings, None), SystemClock(), may_create_keys=True) as open_:
            people = await seed(open_, min(rows, SMALL))
            if people:
                fill(postgres, people[0], rows - len(people))
            yield Stand(
                rows=rows,
                settings=settings,
                postgres=postgres,
                open_=open_,
                services=build_services(open_),
                people=people,
                folder=servers.folder,
            )
