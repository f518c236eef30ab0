"""The whole service with its keys in PostgreSQL."""

import json
import logging
import secrets
from types import SimpleNamespace

import pytest

from cypher.clock import SystemClock
from cypher.config import load
from cypher.crypto.keyring import Purpose
from cypher.serving import running
from tests.acceptance.person import Person


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Settings without any directory."""
    del environment["KEY_STORE_PATH"]
    return {**environment, "KEY_STORE": "postgres", "MASTER_ENCRYPTION_PASSWORD": secrets.token_urlsafe(32)}


async def test_two_processes_and_a_rotation_beside_them_are_one_service(
    two_processes, environment, http, run_cli
) -> None:
    one, two = two_processes
    alice, bob = Person(http, one, "alice"), Person(http, two, "bob")
    assert (await alice.register()).status == 201
    cli = SimpleNamespace(environment=environment)
    rotated = await run_cli(cli, "keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    assert (await bob.register()).status == 201
    items = json.loads((await run_cli(cli, "keys", "status", "--json")).stdout)["items"]
    assert sorted(item["state"] for item in items if item["purpose"] == "data") == ["active", "decrypt_only"]
    for person in (alice, bob):
        for person.url in (one, two):
            assert (await person.login()).status == 200
            assert (await person.ask("GET", "/health/ready")).body["keys"]


async def test_the_start_says_what_a_dump_then_holds(environment, caplog) -> None:
    caplog.set_level(logging.WARNING)
    async with running(load(environment, None), SystemClock(), port=0):
        pass
    assert [record.levelname for record in caplog.records if "dump" in record.message] == ["WARNING"]


async def test_keys_go_to_a_directory_and_back_and_people_stay(
    service, start_service, person, run_cli, tmp_path, caplog
) -> None:
    await person.register()
    directory = tmp_path / "moved"
    moved = await run_cli(service, "keys", "move-store", "--to", "directory", "--path", str(directory))
    assert moved.returncode == 0, moved.stderr
    assert f"KEY_STORE=directory and KEY_STORE_PATH={directory}" in moved.stdout
    assert service.resources.ring.primary(Purpose.FAKE).id not in await service.dump()

    # Who still looks at the old place says so, goes on reading, and is sent no more people.
    assert not service.resources.ring.reload()
    ready = await person.ask("GET", "/health/ready")
    assert (ready.status, ready.body["keys"]) == (503, False)
    assert "There is no key store" in caplog.text
    refused = await run_cli(service, "keys", "status")
    assert refused.returncode == 1
    assert "set KEY_STORE and KEY_STORE_PATH to where it is" in refused.stderr

    there = await start_service(KEY_STORE="directory", KEY_STORE_PATH=str(directory))
    person.url = there.url
    assert (await person.login()).status == 200
    assert (await run_cli(there, "keys", "rotate")).returncode == 0
    back = await run_cli(there, "keys", "move-store", "--to", "postgres")
    assert back.returncode == 0, back.stderr
    assert "KEY_STORE=postgres" in back.stdout
    assert list(directory.iterdir()) == []
    person.url = (await start_service()).url
    assert (await person.login()).status == 200
    assert (await service.audited_actions()).count("crypto.key_store.moved") == 2
