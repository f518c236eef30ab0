"""What an operator does with keys at the command line, beside a running service."""

import asyncio
import itertools
import json
import secrets
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.commands.keys import _rewrap
from cypher.config import load
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.errors import KeyStoreRefused
from tests.acceptance.person import Person
from tests.acceptance.service import start

NEW = secrets.token_urlsafe(32)


async def keys(run_cli, service) -> dict[str, dict]:
    answer = await run_cli(service, "keys", "status", "--json")
    assert answer.returncode == 0, answer.stderr
    return {item["id"]: item for item in json.loads(answer.stdout)["items"]}


async def test_a_data_key_is_replaced_left_and_refused_to_be_destroyed_too_early(
    service, person: Person, run_cli
) -> None:
    await person.register()
    await person.login()
    [(old, before)] = [(i, k) for i, k in (await keys(run_cli, service)).items() if k["purpose"] == "data"]
    assert before["state"] == "active"
    assert before["rows_remaining"] == 6  # name and record; session: data, address, refresh token's; the trail's secret
    assert before["operations"] >= 1000
    assert before["next_rotation_at"] > before["created_at"]
    assert (await run_cli(service, "keys", "rotate", "--algorithm", "aes-256-gcm")).returncode == 0
    refused = await run_cli(service, "keys", "destroy", old)
    assert refused.returncode == 1
    assert "can be destroyed from" in refused.stderr
    moved = await run_cli(service, "keys", "reencrypt", "--rate", "1000")
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout.startswith("6 values were moved to data-")
    after = await keys(run_cli, service)
    assert (after[old]["state"], after[old]["rows_remaining"], after[old]["next_rotation_at"]) == (
        "decrypt_only",
        0,
        None,
    )
    assert (await person.login()).status == 200
    table = (await run_cli(service, "keys", "status")).stdout
    assert old in table
    assert "next rotation" in table


async def test_an_operator_destroys_a_key_and_people_go_on(start_service, http, run_cli) -> None:
    service = await start_service(KEY_DESTROY_DELAY_SECONDS="60")
    person = Person(http, service.url, "alice")
    await person.register()
    old = service.resources.ring.primary(Purpose.DATA).id
    await run_cli(service, "keys", "rotate")
    await run_cli(service, "keys", "reencrypt")
    # A minute passes: the key was replaced that much earlier.
    service.resources.ring.change(lambda stored: _aged(stored, minutes=2))
    destroyed = await run_cli(service, "keys", "destroy", old)
    assert destroyed.returncode == 0, destroyed.stderr
    assert "is destroyed" in destroyed.stdout
    assert (await keys(run_cli, service))[old]["state"] == "destroyed"
    assert (await person.login()).status == 200
    assert "crypto.key.destroyed" in await service.audited_actions()
    again = await run_cli(service, "keys", "destroy", old)
    assert (again.returncode, again.stderr) == (1, f"cypher: {old} is destroyed already.\n")


def _aged(stored, *, minutes: int):
    moved = [replace(key, activated_at=key.activated_at - timedelta(minutes=minutes)) for key in stored.keys]
    return replace(stored, keys=tuple(moved))


async def test_the_master_password_is_changed_under_a_running_service(start_service, http, run_cli) -> None:
    service = await start_service()
    person = Person(http, service.url, "alice")
    await person.register()
    token = (await person.login()).body["access_token"]
    as_asked = SimpleNamespace(environment={**service.environment, "NEW_MASTER_ENCRYPTION_PASSWORD": NEW})
    changed = await run_cli(as_asked, "keys", "change-master", "--rounds", "700000")
    assert changed.returncode == 0, changed.stderr
    assert NEW not in changed.stdout + changed.stderr
    # What runs goes on reading; it says that it must be started anew, and writes nothing under keys it cannot follow.
    service.resources.ring.reload()
    assert (await person.session(token)).status == 200
    ready = await person.ask("GET", "/health/ready")
    assert (ready.status, ready.body["keys"]) == (503, False)
    with pytest.raises(KeyStoreRefused, match="does not open"):
        await start(service.environment)
    other = await start_service(MASTER_ENCRYPTION_PASSWORD=NEW)
    assert other.resources.ring.stored.kdf.rounds == 700_000
    person.url = other.url
    assert (await person.login()).status == 200
    assert "crypto.master_password.changed" in await other.audited_actions()


@pytest.mark.parametrize("password", ["too short", "your_super_secure_master_password"])
async def test_a_weak_new_master_password_changes_nothing(service, run_cli, tmp_path, password: str) -> None:
    before = (tmp_path / "keys" / "keyring.json").read_bytes()
    asked = SimpleNamespace(environment={**service.environment, "NEW_MASTER_ENCRYPTION_PASSWORD": password})
    refused = await run_cli(asked, "keys", "change-master")
    assert refused.returncode == 1
    assert "NEW_MASTER_ENCRYPTION_PASSWORD" in refused.stderr
    assert password not in refused.stderr
    assert (tmp_path / "keys" / "keyring.json").read_bytes() == before


async def test_no_new_master_password_changes_nothing(service, run_cli, tmp_path) -> None:
    before = (tmp_path / "keys" / "keyring.json").read_bytes()
    refused = await run_cli(service, "keys", "change-master")
    assert refused.returncode == 1
    assert refused.stderr.startswith("cypher: Set NEW_MASTER_ENCRYPTION_PASSWORD")
    assert (tmp_path / "keys" / "keyring.json").read_bytes() == before


async def test_more_rounds_are_adopted_under_the_same_password(start_service, run_cli) -> None:
    service = await start_service()
    assert (await run_cli(service, "keys", "change-master", "--same-password", "--rounds", "650000")).returncode == 0
    again = await start_service()
    assert again.resources.ring.stored.kdf.rounds == 650_000
    service.resources.ring.reload()
    assert not service.resources.ring.healthy


async def test_a_new_opaque_setup_serves_new_people_and_the_old_one_its_own(
    service, person: Person, http, run_cli
) -> None:
    await person.register()
    first = service.resources.ring.primary(Purpose.OPAQUE).id
    assert (await run_cli(service, "keys", "rotate", "--purpose", "opaque")).returncode == 0
    service.resources.ring.reload()
    second = service.resources.ring.primary(Purpose.OPAQUE).id
    newcomer = Person(http, service.url, "bob")
    assert (await newcomer.register()).status == 201
    for each in (person, newcomer):
        assert (await each.login()).status == 200
    shown = await keys(run_cli, service)
    assert (shown[first]["rows_remaining"], shown[second]["rows_remaining"]) == (1, 1)
    nobody = Person(http, service.url, "nobody")
    started, _ = await nobody.start_login()
    assert started.status == 200


async def test_the_next_signing_key_is_published_before_it_signs(service, person: Person, run_cli) -> None:
    await person.register()
    rotated = await run_cli(service, "keys", "rotate", "--purpose", "signing")
    assert "is pending" in rotated.stdout
    service.resources.ring.reload()
    published = [key["kid"] for key in (await person.ask("GET", "/.well-known/jwks.json")).body["keys"]]
    assert len(published) == 2
    again = await run_cli(service, "keys", "rotate", "--purpose", "signing")
    assert (again.returncode, "pending already" in again.stderr) == (1, True)
    assert (await person.login()).status == 200


async def test_a_key_is_known_to_every_process_within_five_seconds(two_processes, environment, run_cli, http) -> None:
    assert (await run_cli(SimpleNamespace(environment=environment), "keys", "rotate", "--purpose", "signing")).stdout
    async with asyncio.timeout(5):
        for url in two_processes:
            anybody = Person(http, url, "anybody")
            while len((await anybody.ask("GET", "/.well-known/jwks.json")).body["keys"]) < 2:
                await asyncio.sleep(0.1)


async def test_a_change_of_the_master_password_that_is_cut_off_is_in_the_trail(
    service, monkeypatch, run_cli, tmp_path
) -> None:
    before = (tmp_path / "keys" / "keyring.json").read_bytes()
    monkeypatch.setattr(DirectoryKeyStore, "write", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await _rewrap(service.config, NEW, None)
    assert (tmp_path / "keys" / "keyring.json").read_bytes() == before
    assert (await service.audited_actions()).count("crypto.master_password.changed") == 1
    monkeypatch.undo()
    await _rewrap(service.config, NEW, None)
    assert KeyRing.open(DirectoryKeyStore(tmp_path / "keys"), NEW, SystemClock()).generation == 2


FIELDS = {
    *("id", "purpose", "algorithm", "state", "created_at", "activated_at", "replaced_at"),
    *("operations", "rows_remaining", "next_rotation_at"),
}


async def test_the_status_shows_every_key_of_every_purpose(service, person: Person, run_cli) -> None:
    await person.register()
    shown = await keys(run_cli, service)
    assert {key["purpose"] for key in shown.values()} == set(Purpose)
    assert all(key.keys() == FIELDS and key["state"] == "active" for key in shown.values())
    of = {key["purpose"]: key for key in shown.values()}
    assert {name for name, key in of.items() if key["operations"] is not None} == {Purpose.DATA}
    assert of["data"]["rows_remaining"] == 3
    assert of["opaque"]["rows_remaining"] == 1
    assert of["audit_data"]["rows_remaining"] == of["audit_mac"]["rows_remaining"] >= 1
    assert {name for name, key in of.items() if key["next_rotation_at"]} >= {"data", "cache", "signing"}
    table = (await run_cli(service, "keys", "status")).stdout
    for column in ("id", "purpose", "algorithm", "state", "age", "operations", "rows", "next rotation"):
        assert column in table.splitlines()[1]
    for key_id, key in shown.items():
        [row] = [line for line in table.splitlines() if key_id in line]
        assert key["purpose"] in row
        assert " 0 d " in row
    # The same of the ring, which knows nothing of rows.
    infos = {info.id: info for info in service.resources.ring.get_key_info()}
    assert infos.keys() == shown.keys()
    assert {info.rows_remaining for info in infos.values()} == {None}


@pytest.mark.slow
async def test_names_are_indexed_anew_beside_two_running_processes(two_processes, environment, run_cli, http) -> None:
    people = [Person(http, url, name) for url, name in zip(two_processes, ("alice", "bob"), strict=True)]
    for person in people:
        assert (await person.register()).status == 201
    operator = SimpleNamespace(environment=environment)
    indexing = asyncio.create_task(run_cli(operator, "keys", "rotate-index"))
    logins: set[int] = set()
    registrations: Counter[int] = Counter()
    names = (f"newcomer-{number // 2}" for number in itertools.count())  # each is tried on both instances
    while not indexing.done():
        for person in people:
            logins.add((await person.login()).status)
            newcomer = replace(person, username=next(names))
            registrations[(await newcomer.register()).status] += 1
        await asyncio.sleep(0.2)
    done = await indexing
    assert done.returncode == 0, done.stderr
    assert logins == {200}
    assert registrations.keys() <= {201, 409, 503}
    assert registrations[503] > 10
    assert registrations[201] == await _count_people(environment) - len(people)
    for person in people:
        assert (await person.login()).status == 200
        assert (await person.register()).status == 409
    assert (await Person(http, two_processes[0], "carol").register()).status == 201


async def _count_people(environment: dict[str, str]) -> int:
    async with resources(load(environment, None), SystemClock()) as open_, open_.db.connection() as repos:
        return (await repos.sealed_columns.count_rows())[open_.ring.primary(Purpose.DATA).id]["users.username"]
