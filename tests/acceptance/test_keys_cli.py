"""What an operator does with keys at the command line, beside a running service."""

import json
import secrets
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from cypher.crypto.keyring import Purpose
from cypher.errors import KeyStoreRefused
from tests.acceptance.conftest import start
from tests.acceptance.person import Person

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


@pytest.mark.slow
async def test_names_are_indexed_anew_beside_two_running_processes(two_processes, environment, run_cli, http) -> None:
    people = [Person(http, url, name) for url, name in zip(two_processes, ("alice", "bob"), strict=True)]
    for person in people:
        assert (await person.register()).status == 201
    operator = SimpleNamespace(environment=environment)
    done = await run_cli(operator, "keys", "rotate-index")
    assert done.returncode == 0, done.stderr
    for person in people:
        assert (await person.login()).status == 200
        assert (await person.register()).status == 409
    assert (await Person(http, two_processes[0], "carol").register()).status == 201
