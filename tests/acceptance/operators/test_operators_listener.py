"""The second listener of a process: where it is, that it opens with the first or not at all, how it closes."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from cypher.clock import SystemClock
from cypher.config import load
from cypher.errors import OperatorError
from cypher.maintenance.key_custody import KeyCustody
from cypher.serving import running
from tests.acceptance.operators.conftest import Desk
from tests.acceptance.service import free_port, spawn

Environment = dict[str, str]


def load_with(environment: Environment, **settings: str) -> Any:
    return load({**environment, **settings}, None)


async def status_of(port: int, path: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer:
        return answer.status


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
async def taken() -> AsyncIterator[int]:
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()


@pytest.fixture
def serving(environment: Environment) -> Callable[..., contextlib.AbstractAsyncContextManager[tuple[Any, str]]]:
    """Serve as `cypher serve` does, in a process of its own; yields the process and what it has announced."""

    @contextlib.asynccontextmanager
    async def serve(**settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        process = await spawn({**environment, **settings}, "run.py")
        try:
            assert process.stdout is not None
            lines = []
            async with asyncio.timeout(30):
                while line := (await process.stdout.readline()).decode():
                    lines.append(line)
                    if "Ctrl-C" in line:
                        break
            yield process, "".join(lines)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.communicate()

    return serve


async def test_a_service_says_where_operators_are_answered_and_answers_them_there(serving) -> None:
    port, admin = free_port(), free_port()
    async with serving(PORT=str(port), ADMIN_PORT=str(admin)) as (process, announced):
        assert f"operators:    http://127.0.0.1:{admin}/docs" in announced
        for path, public, operators in (
            ("/health/ready", 200, 200),
            ("/admin/v1/keys", 404, 401),
            ("/v1/session", 401, 404),
        ):
            assert (await status_of(port, path), await status_of(admin, path)) == (public, operators)
        process.send_signal(signal.SIGTERM)
        await process.wait()
        assert process.returncode == 0


async def test_the_operators_port_follows_the_public_one(environment: Environment) -> None:
    del environment["ADMIN_PORT"]
    assert load_with(environment, PORT="8081").operators.port == 8091


async def test_off_is_nowhere(serving) -> None:
    port = free_port()
    async with serving(PORT=str(port), ADMIN_PORT="off") as (_, announced):
        assert "operators:" not in announced
        assert "Cypher answers" in announced
        assert await status_of(port, "/health/ready") == 200


@pytest.mark.parametrize("name", ["ADMIN_PORT", "PORT"])
async def test_a_port_that_is_taken_is_said_in_one_sentence_and_nothing_stays_open(
    service, run_cli, taken: int, name: str
) -> None:
    other = free_port()
    service.environment |= {"PORT": str(other), "ADMIN_PORT": str(other), name: str(taken)}
    refused = await run_cli(service, "serve")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"cypher: 127.0.0.1:{taken} cannot be listened on. Is it taken? Look at {name}, and at "
        f"{name.replace('PORT', 'HOST')}."
    )
    assert "Traceback" not in refused.stderr
    assert "answers" not in refused.stdout


@pytest.mark.parametrize("name", ["ADMIN_PORT", "PORT"])
async def test_what_was_opened_first_is_closed_when_the_second_cannot_be(
    environment: Environment, taken: int, name: str
) -> None:
    other = free_port()
    config = load_with(environment, **{"PORT": str(other), "ADMIN_PORT": str(other), name: str(taken)})
    with pytest.raises(OperatorError, match=f"{taken} cannot be listened on"):
        async with running(config, SystemClock()):
            pass
    assert not answers(other)


async def test_a_request_under_way_is_finished_when_the_service_stops(
    environment: Environment, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, going_on = asyncio.Event(), asyncio.Event()
    list_keys = KeyCustody.list_keys

    async def slow(self):
        entered.set()
        await going_on.wait()
        return await list_keys(self)

    monkeypatch.setattr(KeyCustody, "list_keys", slow)
    bearer = {"Authorization": f"Bearer {await desk.token('viewer')}"}
    async with contextlib.AsyncExitStack() as stack:
        config = load_with(environment, ADMIN_PORT="1")
        listeners = await stack.enter_async_context(running(config, SystemClock(), port=0))
        port, public = listeners.operators.port, listeners.public.port
        asking = asyncio.create_task(status_of(port, "/admin/v1/keys", **bearer))
        await entered.wait()
        stopping = asyncio.create_task(stack.aclose())
        while answers(port) or answers(public):
            await asyncio.sleep(0.01)
        assert not asking.done()
        going_on.set()
        assert await asking == 200
        await stopping


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
async def test_a_listener_that_other_machines_reach_is_warned_of(
    environment: Environment, caplog: pytest.LogCaptureFixture, host: str, warned: bool
) -> None:
    caplog.set_level(logging.WARNING, "cypher")
    config = load_with(environment, ADMIN_PORT="1", ADMIN_HOST=host)
    async with running(config, SystemClock(), port=0) as listeners:
        assert listeners.operators is not None
    assert ("ADMIN_HOST" in caplog.text) is warned
