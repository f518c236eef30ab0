"""The audit trail over HTTP: read, taken elsewhere, proven, and whoever does it is in it."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from cypher.web import streams
from tests.acceptance.operators.conftest import Desk, printed
from tests.acceptance.person import Person

AUDIT = "/admin/v1/audit"


@pytest.fixture
async def alice(desk: Desk, http) -> Person:
    person = Person(http, desk.service.url, "alice")
    assert (await person.register()).status == 201
    return person


async def exported(desk: Desk, **params: str) -> str:
    answer = await desk.as_("auditor", "GET", f"{AUDIT}/export", params=params)
    assert (answer.status, answer.headers["Content-Type"]) == (200, streams.NDJSON)
    return answer.body


async def test_entries_are_found_and_their_reader_is_among_them(desk: Desk, alice: Person) -> None:
    done = (await alice.login()).body
    query = {"user_id": done["session"]["user_id"], "action": "session.session.created"}
    page = (await desk.as_("auditor", "GET", AUDIT, params=query)).body
    [entry] = page["items"]
    assert (entry["session_id"], entry["details"]["address"]) == (done["session"]["id"], "127.0.0.1")
    assert entry["actor"] == {"type": "user", "id": done["session"]["user_id"]}
    newest = (await desk.as_("auditor", "GET", AUDIT, params={"limit": "1"})).body
    [read] = newest["items"]
    assert (read["action"], read["actor"]["type"]) == ("audit.trail.read", "operator")
    assert read["actor"]["id"] == desk.ids[await desk.token("auditor")]
    before = (await desk.as_("auditor", "GET", AUDIT, params={"limit": "1", "cursor": newest["next_cursor"]})).body
    assert before["items"][0]["id"] < read["id"]


async def test_a_page_is_what_the_command_prints(desk: Desk, alice: Person, run_cli) -> None:
    mine = (await desk.as_("auditor", "GET", AUDIT, params={"username": "ALICE", "limit": "2"})).body
    until = mine["items"][0]["occurred_at"]
    theirs = await printed(run_cli, desk, "audit", "search", "--user", "alice", "--until", until)
    assert theirs["items"][0] == mine["items"][1]


@pytest.mark.parametrize(
    "params",
    [
        {"user_id": "nobody"},
        {"since": "yesterday"},
        {"since": "5"},
        {"until": "0.5"},
        {"since": "0001-01-01T00:00:00Z"},
        {"until": "2026-01-01T00:00:00"},
        {"cursor": "x"},
        {"limit": "0"},
        {"limit": "501"},
        {"username": "\u202e"},
    ],
)
async def test_a_query_that_is_none_is_refused_and_not_recorded(desk: Desk, params: dict[str, str]) -> None:
    assert (await desk.as_("auditor", "GET", AUDIT, params=params)).status == 422
    assert await desk.service.audit("audit.trail.read") == []


async def test_a_name_and_the_id_of_somebody_else_are_nobodys(desk: Desk, alice: Person, http) -> None:
    bob = Person(http, desk.service.url, "bob")
    assert (await bob.register()).status == 201
    user_id = (await alice.login()).body["session"]["user_id"]
    for name, found in (("alice", True), ("bob", False), ("nobody", False)):
        query = {"username": name, "user_id": user_id}
        page = (await desk.as_("auditor", "GET", AUDIT, params=query)).body
        assert bool(page["items"]) is found


async def test_the_whole_trail_is_exported_with_what_proves_it(
    desk: Desk, alice: Person, tmp_path: Path, run_cli
) -> None:
    await alice.login()
    await desk.service.seal()
    file = tmp_path / "trail.ndjson"
    file.write_text(await exported(desk))
    proven = await run_cli(desk.service, "audit", "verify", "--export", str(file))
    assert proven.returncode == 0, proven.stderr
    [entry] = await desk.service.audit("audit.trail.exported")
    assert (entry["actor_type"], entry["actor_id"]) == ("operator", desk.ids[await desk.token("auditor")])


async def test_an_export_with_a_filter_is_those_entries_alone(desk: Desk, alice: Person) -> None:
    await alice.login()
    lines = (await exported(desk, action="session.session.created")).splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["session.session.created"]
    assert await exported(desk, action="no.such.event") == ""


async def test_an_export_that_fails_in_the_middle_does_not_end_as_if_it_were_whole(
    desk: Desk, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(reader):
        yield b"{}\n"
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(desk.operations.proof, "export", broken)
    with pytest.raises(aiohttp.ClientError):
        await desk.as_("auditor", "GET", f"{AUDIT}/export")


async def test_who_leaves_in_the_middle_of_an_export_leaves_no_connection_behind(desk: Desk, alice: Person) -> None:
    headers = {"Authorization": f"Bearer {await desk.token('auditor')}"}
    url = f"http://127.0.0.1:{desk.server.port}{AUDIT}/export"
    for _ in range(12):  # more than the pool holds
        async with desk.http.get(url, headers=headers) as response:
            assert response.status == 200
            response.close()
    async with asyncio.timeout(10):
        assert (await desk.as_("auditor", "POST", f"{AUDIT}/verify")).status == 200


async def test_the_trail_is_proven_and_what_was_done_to_it_is_named(desk: Desk, alice: Person) -> None:
    assert (await desk.as_("auditor", "GET", f"{AUDIT}/checkpoint")).status == 404
    await desk.service.seal()
    checkpoint = (await desk.as_("auditor", "GET", f"{AUDIT}/checkpoint")).body
    assert checkpoint["seal_no"] >= 1
    holds = (await desk.as_("auditor", "POST", f"{AUDIT}/verify")).body
    assert (holds["finding"], holds["seals"]) == (None, checkpoint["seal_no"])
    await desk.service.execute("DELETE FROM audit_logs WHERE action = 'auth.registration.completed'")
    broken = (await desk.as_("auditor", "POST", f"{AUDIT}/verify")).body
    assert broken["finding"]["attack"] == "deleted"
    assert len(await desk.service.audit("audit.trail.broken")) == 1
