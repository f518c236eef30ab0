"""The bench suite's clients, against a server of aiohttp's."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.load import Load, loads
from bench.requests import get
from cypher.errors import OperatorError


class Counted:
    """Answers with the path and how many were under way, and remembers both."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.tokens: set[str | None] = set()
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.tokens.add(request.headers.get("Authorization"))
        return web.Response(text=request.path * 1000, status=404 if request.path == "/missing" else 200)


@pytest.fixture
async def counted() -> AsyncIterator[Counted]:
    counted = Counted()
    app = web.Application()
    app.router.add_get("/{path}", counted.answer)
    async with TestServer(app) as server:
        assert server.port
        counted.port = server.port
        yield counted


@pytest.fixture(
    params=[
        False,
        pytest.param(
            True, marks=pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk here: apt-get install wrk")
        ),
    ]
)
async def load(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Load]:
    async with loads(tmp_path, may_use_wrk=request.param) as load:
        yield load


@pytest.fixture
async def own_load(tmp_path: Path) -> AsyncIterator[Load]:
    async with loads(tmp_path, may_use_wrk=False) as load:
        yield load


async def test_each_request_is_sent_once_and_answered_in_its_order(counted: Counted, own_load: Load) -> None:
    outcome = await own_load.each(counted.port, [get(f"/{number}") for number in range(100)], at_once=8)
    assert outcome.bodies == [f"/{number}".encode() * 1000 for number in range(100)]
    assert sorted(counted.paths) == sorted(f"/{number}" for number in range(100))
    assert len(outcome.latencies) == 100
    assert 0 < max(outcome.latencies) < outcome.seconds


async def test_requests_go_round_for_as_long_as_told(counted: Counted, load: Load) -> None:
    requests = [get("/a", "one"), get("/b", "two"), get("/c")]
    tally = await load.cycle(counted.port, requests, at_once=4, seconds=1.0)
    # A client may have some under way when its time is over.
    assert tally.operations <= len(counted.paths) <= tally.operations + 4
    assert counted.tokens == {"Bearer one", "Bearer two", None}
    assert max(map(counted.paths.count, "abc")) == 0
    each = [counted.paths.count(path) for path in ("/a", "/b", "/c")]
    assert max(each) - min(each) <= 4
    assert 0.9 < tally.seconds < 2
    assert 0 < min(tally.latencies) <= max(tally.latencies) < 1


async def test_probe_leaves_a_pause_after_each_answer(counted: Counted, own_load: Load) -> None:
    tally = await own_load.probe(counted.port, get("/a"), seconds=0.5, pause=0.05)
    assert 1 < tally.operations <= 10


async def test_wrong_answer_is_not_measured(counted: Counted, load: Load) -> None:
    with pytest.raises(OperatorError, match="A wrong answer is not measured"):
        await load.cycle(counted.port, [get("/a"), get("/missing")], at_once=2, seconds=1.0)


async def test_first_wrong_answer_is_quoted(counted: Counted, own_load: Load) -> None:
    with pytest.raises(OperatorError, match=r"GET /missing HTTP/1\.1 was answered 404: b'/missing/missing"):
        await own_load.each(counted.port, [get("/a"), get("/missing")], at_once=2)
    outcome = await own_load.each(counted.port, [get("/missing")], at_once=2, status=404)
    assert len(outcome.bodies) == 1


async def test_server_that_is_not_there_is_a_sentence(own_load: Load, counted: Counted) -> None:
    with pytest.raises(OperatorError, match="Connect"):
        await own_load.each(1, [get("/a")], at_once=1)
    # The client goes on.
    assert (await own_load.each(counted.port, [get("/a")], at_once=1)).bodies
