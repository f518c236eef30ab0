"""`cypher users` and `cypher sessions`: what an operator types, and the objects that programs read."""

import json

import pytest

from tests.acceptance.new_passwords import recover
from tests.acceptance.person import Person

USER = {"id", "username", "is_active", "totp_enabled", "locked_until", "created_at", "last_login_at"}
SESSION = {
    "id",
    "user_id",
    "username",
    "aal",
    "amr",
    "authenticated_at",
    "created_at",
    "expires_at",
    "idle_expires_at",
    "device_id",
    "last_seen_at",
}


@pytest.fixture
async def login(person: Person, service) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


@pytest.fixture
def cli(service, run_cli):
    async def run(*arguments: str) -> str:
        done = await run_cli(service, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def refused(service, run_cli):
    async def run(*arguments: str) -> str:
        done = await run_cli(service, *arguments)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("cypher: ")
        assert len(done.stderr.strip().splitlines()) == 1
        return done.stderr

    return run


async def test_people_are_listed_and_shown_in_the_shape_of_the_contract(person: Person, login, cli) -> None:
    await Person(person.http, person.url, "[red]bob").register()
    listed = json.loads(await cli("users", "list", "--json"))
    assert set(listed) == {"items", "next_cursor"}
    assert [set(item) for item in listed["items"]] == [USER] * 2
    first = json.loads(await cli("users", "list", "--limit", "1", "--json"))
    assert first["items"] == listed["items"][:1]
    rest = json.loads(await cli("users", "list", "--cursor", first["next_cursor"], "--json"))
    assert (rest["items"], rest["next_cursor"]) == (listed["items"][1:], None)
    found = json.loads(await cli("users", "list", "--username", "ALICE", "--json"))
    shown = json.loads(await cli("users", "show", "Alice", "--json"))
    assert found["items"] == [shown]
    assert shown["id"] == login["session"]["user_id"]
    assert shown["last_login_at"] is not None
    assert json.loads(await cli("users", "show", "--id", shown["id"], "--json")) == shown
    table = await cli("users", "list")
    assert shown["id"] in table
    assert "[red]bob" in table


async def test_somebody_is_made_and_sets_a_password_while_registration_is_closed(start_service, http, run_cli) -> None:
    service = await start_service(REGISTRATION="closed")
    made = await run_cli(service, "users", "create", "Zoë", "--hours", "48", "--json")
    invited = json.loads(made.stdout)
    assert set(invited) == {"user", "recovery_token", "expires_at"}
    assert (set(invited["user"]), invited["user"]["username"]) == (USER, "zoë")
    person = Person(http, service.url, "zoë")
    assert (await recover(person, invited["recovery_token"])).status == 204
    assert (await person.login()).status == 200
    again = await run_cli(service, "users", "recovery", "zoë")
    assert "only time" in again.stderr
    assert (await recover(person, again.stdout.strip(), b"third")).status == 204


async def test_somebody_is_locked_disabled_and_let_in_again(person: Person, login, cli) -> None:
    locked = json.loads(await cli("users", "lock", "alice", "--hours", "2", "--yes", "--json"))
    assert set(locked) == USER
    assert locked["locked_until"] is not None
    assert (await person.session(login["access_token"])).status == 401
    assert (await person.login()).body["code"] == "account_locked"
    assert json.loads(await cli("users", "unlock", "alice", "--json"))["locked_until"] is None
    session = (await person.login()).body
    assert json.loads(await cli("users", "disable", "alice", "--yes", "--json"))["is_active"] is False
    assert (await person.session(session["access_token"])).status == 401
    assert (await person.login()).body["code"] == "account_disabled"
    assert json.loads(await cli("users", "enable", "alice", "--json"))["is_active"] is True
    assert (await person.login()).status == 200


async def test_somebody_is_deleted(person: Person, login, cli, refused) -> None:
    assert "alice is deleted" in await cli("users", "delete", "--id", login["session"]["user_id"], "--yes")
    assert (await person.session(login["access_token"])).status == 401
    assert "Nobody has this username" in await refused("users", "show", "alice")
    assert "Nobody has this id" in await refused("users", "delete", "--id", login["session"]["user_id"], "--yes")


@pytest.mark.parametrize(
    "command", [("lock",), ("disable",), ("delete",), ("reset-factors",)], ids=lambda command: command[0]
)
async def test_what_cannot_be_taken_back_asks_first(person: Person, login, refused, service, command) -> None:
    before = await service.fetch("SELECT * FROM users")
    assert "--yes" in await refused("users", *command, "alice")
    assert await service.fetch("SELECT * FROM users") == before
    assert (await person.session(login["access_token"])).status == 200


async def test_what_an_operator_mistypes_is_said_in_one_sentence(person: Person, login, refused) -> None:
    assert "not a username" in await refused("users", "show", "two words")
    assert "not an id" in await refused("users", "show", "--id", "alice")
    assert "Nobody" in await refused("users", "unlock", "nobody")
    assert "already registered" in await refused("users", "create", "ALICE")
    assert "not a username" in await refused("users", "create", "two words")


async def test_a_name_that_looks_like_an_id_is_a_name(person: Person, login, cli, refused) -> None:
    await refused("users", "show", login["session"]["user_id"])
    confusing = Person(person.http, person.url, login["session"]["user_id"])
    assert (await confusing.register()).status == 201
    shown = json.loads(await cli("users", "show", login["session"]["user_id"], "--json"))
    assert shown["username"] == login["session"]["user_id"] != shown["id"]


async def test_sessions_are_listed_without_their_addresses_and_ended(person: Person, login, cli) -> None:
    await person.login()
    listed = json.loads(await cli("sessions", "list", "alice", "--json"))
    assert [set(item) for item in listed["items"]] == [SESSION] * 2
    assert "127.0.0.1" not in await cli("sessions", "list", "alice")
    counted = json.loads(await cli("sessions", "revoke", "alice", "--dry-run", "--json"))
    assert counted == {"revoked": 2, "dry_run": True}
    assert (await person.session(login["access_token"])).status == 200
    assert json.loads(await cli("sessions", "revoke", "alice", "--yes", "--json")) == {"revoked": 2, "dry_run": False}
    assert (await person.session(login["access_token"])).status == 401


async def test_many_sessions_are_ended_by_what_is_said_of_them(person: Person, login, cli, refused) -> None:
    assert "--all" in await refused("sessions", "revoke", "--yes")
    assert "--all" in await refused("sessions", "revoke", "--all", "--aal", "1", "--yes")
    assert "--yes" in await refused("sessions", "revoke", "--all")
    assert "0 session(s) would end" in await cli("sessions", "revoke", "--seen-before", "2020-01-01", "--dry-run")
    assert "0 session(s) ended" in await cli("sessions", "revoke", "--aal", "2", "--yes")
    assert (await person.session(login["access_token"])).status == 200
    assert "1 session(s) ended" in await cli("sessions", "revoke", "--created-before", "2100-01-01", "--yes")
    assert (await person.session(login["access_token"])).status == 401
    session = (await person.login()).body
    assert "1 session(s) ended" in await cli("sessions", "revoke", "--all", "--yes")
    assert (await person.session(session["access_token"])).status == 401
