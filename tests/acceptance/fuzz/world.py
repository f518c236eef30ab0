"""A service in virtual time, driven step by step from code that does not wait."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import aiohttp

from cypher.config import PostgresConfig
from tests.acceptance.fuzz.virtual_time import VirtualTime
from tests.acceptance.person import Person
from tests.acceptance.service import Service, start

#: Redis forgets them by the machine's time, which may be short on a busy one.
LONG_FLOWS = {"LOGIN_FLOW_SECONDS": "600"}


@dataclass
class World:
    runner: asyncio.Runner
    clock: VirtualTime
    service: Service
    http: aiohttp.ClientSession
    numbers: Iterator[int]

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    def person(self, name: str, password: bytes = b"") -> Person:
        return Person(self.http, self.service.url, name, password)


@contextmanager
def world(environment: dict[str, str], postgres: PostgresConfig) -> Iterator[World]:
    """Open a world on a database of its own; hypothesis knows no coroutines, so the loop runs one step at a time."""
    with asyncio.Runner() as runner:
        clock = runner.run(VirtualTime.install(postgres))
        service = runner.run(start({**environment, **LONG_FLOWS}, clock))
        http = runner.run(_client(service))
        try:
            yield World(runner, clock, service, http, count())
        finally:
            runner.run(http.close())
            runner.run(service.stop())
            runner.run(clock.owner.close())


async def _client(service: Service) -> aiohttp.ClientSession:
    return service.client()
