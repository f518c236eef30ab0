"""A running service keeps its trail by itself: written, sealed, and its end known elsewhere."""

import asyncio
import json
import signal
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.acceptance.person import Person
from tests.acceptance.service import environment_of, free_port, spawn


@pytest.fixture
def settings(postgres_config, redis_config, tmp_path: Path) -> dict[str, str]:
    port = str(free_port())
    checkpoints = str(tmp_path / "elsewhere" / "checkpoints.jsonl")
    return {
        **environment_of(postgres_config, redis_config, tmp_path / "keys"),
        "PORT": port,
        "AUDIT_CHECKPOINT": checkpoints,
    }


async def stopped(process: asyncio.subprocess.Process) -> tuple[str, str]:
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err
    return out.decode(), err.decode()


async def started(settings: dict[str, str]) -> asyncio.subprocess.Process:
    process = await spawn(settings, "run.py")
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    assert b"Cypher answers" in line, line
    return process


def last_checkpoint(settings: dict[str, str]) -> int:
    file = Path(settings["AUDIT_CHECKPOINT"])
    assert file.stat().st_mode & 0o777 == 0o600
    number: int = json.loads(file.read_text().splitlines()[-1])["seal_no"]
    return number


async def run(settings: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = await spawn(settings, "-m", "cypher", "audit", *arguments)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_it_writes_seals_and_sends_checkpoints_away_and_leaves_nothing_undone(settings, postgres_config) -> None:
    process = await started(settings)
    async with aiohttp.ClientSession() as http:
        person = Person(http, f"http://127.0.0.1:{settings['PORT']}", "alice")
        await person.register()
        await person.login()
        await person.start_login()
        connection = await asyncpg.connect(
            host=postgres_config.hosts[0],
            port=postgres_config.port,
            user=postgres_config.user,
            password=postgres_config.password and postgres_config.password.reveal(),
            database=postgres_config.database,
        )
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT coalesce(sum(count), 0) FROM audit_seals") < 5:
                await asyncio.sleep(0.1)
        actions = {row["action"] for row in await connection.fetch("SELECT action FROM audit_logs")}
        await connection.close()
    assert {"auth.login.attempted", "auth.login.succeeded", "system.instance.started"} <= actions
    await stopped(process)
    code, out, err = await run(settings, "verify", "--checkpoint", settings["AUDIT_CHECKPOINT"])
    assert code == 0, err
    assert f"Checkpoints vouch for it up to seal {last_checkpoint(settings)}." in out
    # Transactions of other tests' databases may hold the last entries back; then the next instance seals them.
    assert "The trail holds." in out
    code, out, _ = await run(settings, "search", "--action", "system.instance.stopped", "--json")
    assert [item["actor"]["type"] for item in json.loads(out)["items"]] == ["service"]


async def test_without_a_place_for_checkpoints_it_says_so(settings) -> None:
    _, err = await stopped(await started({**settings, "AUDIT_CHECKPOINT": "off"}))
    assert "AUDIT_CHECKPOINT is off" in err
    assert "AUDIT_RETENTION_DAYS" not in err


async def test_a_retention_that_the_database_does_not_know_of_is_said(settings) -> None:
    _, err = await stopped(await started({**settings, "AUDIT_RETENTION_DAYS": "90"}))
    assert "The database keeps the audit trail for 400 days, and AUDIT_RETENTION_DAYS is 90" in err
    migrated = await spawn({**settings, "AUDIT_RETENTION_DAYS": "90"}, "-m", "cypher", "migrate")
    assert await migrated.wait() == 0
    _, err = await stopped(await started({**settings, "AUDIT_RETENTION_DAYS": "90"}))
    assert "AUDIT_RETENTION_DAYS" not in err


async def test_a_file_for_checkpoints_that_cannot_be_written_keeps_it_from_starting(settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = await spawn({**settings, "AUDIT_CHECKPOINT": str(tmp_path / "file" / "below")}, "run.py")
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert "AUDIT_CHECKPOINT names" in err.decode()
    assert "Traceback" not in err.decode()
