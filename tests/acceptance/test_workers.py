"""`cypher serve --workers N`: several processes behind one port are one service, and end as one."""

import asyncio
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cypher.client import CypherClient
from cypher.clock import SystemClock
from cypher.metrics_folder import metrics_folder, remove_abandoned
from tests.acceptance.own_process import Serving, serve
from tests.acceptance.service import free_port, spawn
from tests.processes import private_folder, processes

PASSWORD = "correct horse battery staple"


def children(parent: int) -> set[int]:
    """Return the living children of a process."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return {int(row.split()[0]) for row in listed.splitlines() if not row.split()[1].startswith("Z")}


def folders(path: Path) -> list[Path]:
    return list(path.glob("cypher-metrics-*"))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pids: set[int]) -> None:
    async with asyncio.timeout(40):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


async def answering(serving: Serving, at_least: int) -> set[int]:
    """Ask over new connections until so many processes have answered; return who."""
    async with asyncio.timeout(40):
        while True:
            await asyncio.gather(*(serving.status("/v1/config") for _ in range(16)))
            told = [line for line in serving.lines() if line.get("route") == "/v1/config"]
            if len({line["process"] for line in told}) >= at_least:
                return {line["process"] for line in told}


async def statuses(serving: Serving, token: str, times: int) -> set[int]:
    """Ask for the session over so many new connections."""

    async def ask() -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{serving.url}/v1/session") as answer,
        ):
            return answer.status

    return set(await asyncio.gather(*(ask() for _ in range(times))))


async def metric(serving: Serving, name: str, label: str = "") -> float:
    """Return the sum of a metric over all label sets that hold `label`, as the operators' listener tells it."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{serving.admin}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", name + "{")) and label in line)


async def until_metric(serving: Serving, name: str, value: float) -> None:
    """Wait until every process has written down what is there now."""
    async with asyncio.timeout(40):
        while await metric(serving, name) != value:
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_four_are_one_service_and_whoever_dies_is_replaced(environment: dict[str, str], tmp_path: Path) -> None:
    async with serve(environment, "--workers", "4", LOG_FORMAT="json", TMPDIR=str(tmp_path)) as serving:
        await serving.announced()
        assert sum("Cypher answers" in line for line in serving.said) == 1
        first = children(serving.process.pid)
        assert len(first) == 4
        assert await answering(serving, 4) == first
        assert await serving.status("/health/ready", serving.admin) == 200

        async with CypherClient(serving.url) as client:
            await client.register("ada", PASSWORD)
            await client.login("ada", PASSWORD)
            token = await client.access_token()
            assert await statuses(serving, token, 32) == {200}
            await client.logout()
        assert await statuses(serving, token, 32) == {401}

        asked = sum("/v1/config" in line for line in serving.logged)
        assert await metric(serving, "cypher_requests_total", 'route="/v1/config"') >= asked
        assert await metric(serving, "cypher_logins_total", 'outcome="success"') == 1
        await until_metric(serving, "cypher_processes", 4)

        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(40):
            while len(children(serving.process.pid) - {killed}) < 4:
                await asyncio.sleep(0.02)
        await answering(serving, 5)
        # What the dead one has counted stays; what it had open does not.
        assert await metric(serving, "cypher_requests_total", 'route="/v1/config"') >= asked
        assert await metric(serving, "cypher_logins_total", 'outcome="success"') == 1
        await until_metric(serving, "cypher_processes", 4)
        assert await serving.status("/health/ready", serving.admin) == 200

        # A second service on this port would share it unseen.
        second = await spawn({**environment, "PORT": str(serving.port)}, "run.py", "--workers", "2")
        _, told = await second.communicate()
        assert second.returncode == 1
        assert b"cannot be listened on" in told.splitlines()[-1]

        stopped = min(children(serving.process.pid))
        os.kill(stopped, signal.SIGSTOP)
        async with asyncio.timeout(60):
            while stopped in (everybody := children(serving.process.pid)) or len(everybody) < 4:
                await asyncio.sleep(0.1)
        await until_metric(serving, "cypher_processes", 4)

        everybody = children(serving.process.pid)
        serving.process.send_signal(signal.SIGTERM)
        assert await serving.ended() == 0
        assert not any(is_alive(pid) for pid in everybody)
        assert folders(tmp_path) == []
    told = [line["event"] for line in serving.lines()]
    assert sum("has ended (status -9)" in event for event in told) == 2
    assert sum("has been silent for 30 s and is killed" in event for event in told) == 1


async def test_killed_the_parent_leaves_nobody_behind_and_the_next_start_nothing(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(environment, "--workers", "2", TMPDIR=str(tmp_path)) as serving:
        await serving.announced()
        everybody = children(serving.process.pid)
        assert len(everybody) == 2
        (folder,) = folders(tmp_path)
        os.utime(folder, (0, 0))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        remove_abandoned(SystemClock())
        assert folder.exists()
        serving.process.kill()
        await gone(everybody)
        os.utime(folder, (0, 0))
    with metrics_folder(SystemClock()) as own:
        assert folders(tmp_path) == [own]


async def test_what_is_refused_ends_all_with_one_sentence(environment: dict[str, str], start_service: Any) -> None:
    await start_service()
    os.chmod(environment["KEY_STORE_PATH"], 0o755)
    async with serve(environment, "--workers", "2") as serving:
        assert await serving.ended() == 1
    assert "chmod 700" in serving.logged[-1]
    assert serving.said == []


async def test_it_waits_for_postgresql_with_one_of_them(environment: dict[str, str]) -> None:
    away = {**environment, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(free_port())}
    async with serve(away, "--workers", "2") as serving:
        await serving.until("/health/live", 200)
        assert await serving.status("/health/ready") == 503
        assert len(children(serving.process.pid)) == 1
        serving.process.send_signal(signal.SIGINT)
        assert await serving.ended() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_embedded_servers_are_shared_and_end_with_the_last(number: int) -> None:
    with private_folder() as folder:
        async with serve({"TEST_FOLDER": str(folder)}, "--workers", "2") as serving:
            await serving.announced()
            everybody = children(serving.process.pid)
            async with CypherClient(serving.url) as client:
                await client.register("ada", PASSWORD)
            serving.process.send_signal(number)
            await serving.ended()
            await gone(everybody)
        assert processes(folder) == []
