"""Fixtures: the server under test, over fakes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from web_fakes import Fakes, Running, config_of

from cypher.errors import CypherError
from cypher.web.application import make_web_app
from cypher.web.server import WebServer
from tests.contract import watched_client


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
async def serve(fakes: Fakes) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Start the server with some settings of HttpConfig."""
    started: list[Running] = []

    async def start(**http: object) -> Running:
        app = make_web_app(fakes.services(), config_of(**http))
        server = await WebServer.start(app, "127.0.0.1", 0, drain=timedelta(seconds=5))
        started.append(Running(server, app, watched_client()))
        return started[-1]

    yield start
    for running in started:
        await running.client.close()
        await running.server.stop()


@pytest.fixture
async def running(serve: Callable[..., Awaitable[Running]]) -> Running:
    return await serve()


@pytest.fixture
def fail(fakes: Fakes) -> Callable[[CypherError], None]:
    """Let every use case fail with an error."""

    def set_failure(error: CypherError) -> None:
        fakes.failure = error

    return set_failure
