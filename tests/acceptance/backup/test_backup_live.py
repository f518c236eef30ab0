"""A backup that is made while people come and keys are replaced is of one moment, all of it."""

import asyncio
from dataclasses import replace

import pytest

from cypher.backup.creating import Target, create_backup
from cypher.backup.dumping import bring_back
from cypher.backup.manifest import DUMP
from cypher.backup.programs import find_program
from cypher.config import load
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.postgres import Database
from cypher.repositories.deployment import DeploymentOnly
from tests.acceptance.backup.conftest import Paths
from tests.acceptance.backup.steps import SILENT, verified
from tests.acceptance.person import Person


@pytest.mark.slow
async def test_the_dump_and_the_keys_agree_while_people_come_and_keys_go(service, http, paths: Paths, empty) -> None:
    stop, registered = asyncio.Event(), []

    async def come(number: int) -> None:
        while not stop.is_set():
            person = Person(http, service.url, f"person-{number}-{len(registered)}")
            if (await person.register()).status == 201 and (await person.login()).status == 200:
                registered.append(person.username)

    async def turn() -> None:
        while not stop.is_set():
            await asyncio.to_thread(rotate, service.resources.ring, Purpose.DATA)
            await asyncio.sleep(0.05)

    people = [asyncio.create_task(work) for work in (come(1), come(2), turn())]
    while len(registered) < 4:
        await asyncio.sleep(0.01)
    before = len(registered)
    manifest = await create_backup(service.resources, Target(data=paths[0], keys=paths[1]), SILENT)
    during = len(registered) - before
    stop.set()
    await asyncio.gather(*people)
    assert during > 0

    backup = verified(paths)
    config = load(empty, None)
    program = find_program("pg_restore", at_least=backup.contents.pg_dump)
    sha256 = backup.contents.files[DUMP].sha256
    await bring_back(program, config.postgres.as_owner(), backup.dump, sha256, lambda done: None)
    db = await Database.open(replace(config.postgres.as_owner(), pool_max=1), DeploymentOnly.over)
    try:
        async with db.connection() as repos:
            rows = await repos.sealed_columns.count_rows()
            identity = await repos.deployment.get_identity()
            assert await repos.deployment.get_epoch() is None
    finally:
        await db.close()
    assert rows == manifest.contents.keys
    assert len([key_id for key_id in rows if key_id.startswith("data-")]) > 1
    assert identity is not None
    assert identity.generation <= backup.ring.generation
