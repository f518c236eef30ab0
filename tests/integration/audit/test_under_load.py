"""Many writers on several instances, and a sealer that is killed again and again: no gap and no false alarm."""

import asyncio
import random
import sys
from dataclasses import replace

import pytest

from tests.conftest import MASTER_PASSWORD
from tests.factories import for_a_child

EVENTS = 5000 // 64 * 64  # of 64 writers, each as many


@pytest.fixture
def start(postgres_config, ring, tmp_path):
    async def start(task: str, count: int = 0) -> asyncio.subprocess.Process:
        config = for_a_child(replace(postgres_config, pool_max=16))
        arguments = (config, str(tmp_path / "keys"), MASTER_PASSWORD, task, str(count))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.audit.child", *arguments, stdout=asyncio.subprocess.PIPE
        )

    return start


async def seal_and_be_killed(start, stop: asyncio.Event) -> int:
    """Keep a sealer running, and kill it at some moment after it has begun; returns how often."""
    killed = 0
    while not stop.is_set():
        sealer = await start("seal")
        assert sealer.stdout is not None
        await sealer.stdout.readline()
        await asyncio.sleep(random.uniform(0.0, 0.8))
        sealer.kill()
        await sealer.wait()
        killed += 1
    return killed


@pytest.mark.slow
async def test_64_writers_on_two_instances_leave_no_gap_though_the_sealer_is_killed(trail, start) -> None:
    stop = asyncio.Event()
    sealers = [asyncio.create_task(seal_and_be_killed(start, stop)) for _ in range(2)]
    writers = [await start("write", EVENTS // 2) for _ in range(2)]
    verified = 0
    while any(writer.returncode is None for writer in writers):
        assert (await trail.verify()).finding is None
        verified += 1
        await asyncio.sleep(0.2)
    assert [writer.returncode for writer in writers] == [0, 0]
    stop.set()
    assert sum(await asyncio.gather(*sealers)) >= 4
    assert verified >= 2
    await trail.seal()
    done = await trail.verify()
    assert (done.finding, done.entries, done.unsealed) == (None, EVENTS, 0)
    assert trail.rows("SELECT count(*), count(DISTINCT entry_id) FROM audit_leaves") == [(EVENTS, EVENTS)]
    assert trail.rows("SELECT count(*), max(seal_no) FROM audit_seals")[0] == (done.seals, done.seals)
    late = trail.rows(
        "SELECT count(*) FROM (SELECT occurred_at < lag(occurred_at) OVER (ORDER BY seal_no, position) AS late"
        " FROM audit_leaves l JOIN audit_logs a ON a.id = l.entry_id) AS in_order WHERE late"
    )
    assert late[0][0] > 0  # transactions did overtake one another
