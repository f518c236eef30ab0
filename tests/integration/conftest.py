"""Fixtures: a Redis of one test's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.own_redis import OwnServer


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="cyr", dir="/tmp") as name:  # a socket's path must be short
        yield Path(name)


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[OwnServer]:
    server = OwnServer(folder)
    try:
        await server.wait()
        yield server
    finally:
        server.kill()
