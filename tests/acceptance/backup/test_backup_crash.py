"""A restore that is killed at any of its steps is never served, and the next command comes to its end."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from cypher.backup.creating import Target, create_backup
from cypher.backup.finishing import finish_restore
from cypher.clock import SystemClock
from cypher.config import load
from cypher.errors import OperatorError
from tests.acceptance.backup.conftest import Paths
from tests.acceptance.backup.steps import SILENT, refusal, restored
from tests.acceptance.person import Person
from tests.acceptance.service import spawn, start

#: Restores, and kills itself before or after a call, or in the midst of feeding pg_restore.
CHILD = """
import asyncio, importlib, os, signal, sys
from pathlib import Path
from cypher.backup import dumping
from cypher.config import load
from tests.acceptance.backup.steps import restored

when, where, dump, keys = sys.argv[1:]
module, *owner, name = where.split(":")
owner = getattr(importlib.import_module(module), owner[0]) if owner else importlib.import_module(module)
original = getattr(owner, name)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def awaited(*given, **named):
    if when == "before":
        die()
    try:
        await original(*given, **named)
    finally:
        die()

def called(*given, **named):
    if when == "before":
        die()
    original(*given, **named)
    die()

async def half(process, file, sha256, report):
    data = file.read_bytes()
    process.stdin.write(data[:len(data) // 2])
    await process.stdin.drain()
    die()

setattr(owner, name, half if when == "half" else awaited if asyncio.iscoroutinefunction(original) else called)
asyncio.run(restored(dict(os.environ), (Path(dump), Path(keys))))
"""

STEPS = [
    ("half", "cypher.backup.dumping:_feed"),
    ("after", "cypher.backup.dumping:_feed"),
    ("after", "cypher.backup.restoring:bring_back"),
    ("after", "cypher.backup.restoring:migrate"),
    ("before", "cypher.crypto.keystore:DirectoryKeyStore:write"),
    ("after", "cypher.backup.restoring:_put_keys"),
    ("before", "cypher.maintenance.key_identity:begin_epoch"),
    ("after", "cypher.maintenance.key_identity:begin_epoch"),
    ("before", "cypher.backup.finishing:_end"),
    ("before", "cypher.repositories.deployment:DeploymentRepository:set_epoch"),
    ("after", "cypher.repositories.deployment:DeploymentRepository:set_epoch"),
    ("after", "cypher.backup.finishing:_end"),
]


async def killed(environment: dict[str, str], backup: Paths, when: str, where: str) -> None:
    process = await spawn(environment, "-c", CHILD, when, where, *map(str, backup))
    _, said = await process.communicate()
    assert process.returncode == -9, said.decode()


async def go_on(environment: dict[str, str], backup: Paths) -> str:
    """Do what an operator does: the same command again, or the one that it names. Returns which."""
    said = await said_by(restored(environment, backup))
    async with asyncio.timeout(30):
        while "pg_restore has failed" in said:  # the one before is about to find out that nobody feeds it
            said = await said_by(restored(environment, backup))
    if not said:
        return "restore"
    assert "cypher backup restore --finish" in said
    await finish_restore(load(environment, None), SystemClock())
    return "finish"


async def said_by(work: Awaitable[object]) -> str:
    """Return the refusal, or nothing."""
    try:
        await work
    except OperatorError as exc:
        return str(exc)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("when", "where"), STEPS)
async def test_a_restore_that_was_killed_is_not_served_and_comes_to_its_end(
    backup: Paths, empty, http, when: str, where: str
) -> None:
    await killed(empty, backup, when, where)
    is_done = (when, where) == STEPS[-1]
    if not is_done:
        assert await refusal(empty)
        await go_on(empty, backup)
    service = await start(empty)
    try:
        assert (await Person(http, service.url, "alice").login()).status == 200
        assert len(await service.audit("system.backup.restored")) == 1
        assert await service.fetch("SELECT FROM user_sessions WHERE revoked_reason = 'restore'")
    finally:
        await service.stop()


@pytest.mark.slow
async def test_a_database_with_another_backup_in_it_is_not_taken_for_this_one(
    service, person: Person, backup: Paths, empty, tmp_path: Path
) -> None:
    await person.login()
    later = tmp_path / "later", tmp_path / "later-keys"
    await create_backup(service.resources, Target(data=later[0], keys=later[1]), SILENT)
    await killed(empty, backup, "after", "cypher.backup.restoring:migrate")
    with pytest.raises(OperatorError, match="holds another backup, or one whose restore is almost done"):
        await restored(empty, later)
    assert await go_on(empty, backup) == "restore"
