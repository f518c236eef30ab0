"""Servers of the faults' own: those of the run are never touched."""

from collections.abc import Iterator

import pytest

from tests.faults.world import OwnServers


@pytest.fixture(scope="session")
def own_servers() -> Iterator[OwnServers]:
    """PostgreSQL and Valkey that one fault after the other happens to; each worker has its own."""
    with OwnServers.start() as servers:
        yield servers
