"""`cypher audit` on a real trail: read, exported, proven; and what others have put into it stays text."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

from cypher.auth.audit import Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.source import Source
from tests.acceptance.person import Person

ANSI = "\x1b[2J\x1b[31mred\x1b]0;title\x07\x9b1m\x00\r\n\u202etxt[bold]x[/bold]"


@pytest.fixture
async def used(service, person: Person):
    """A service that somebody has used."""
    await person.register()
    await person.login()
    await Person(person.http, person.url, "nobody").start_login()
    await service.seal()
    return service


async def test_entries_are_found_by_action_user_and_time(used, run_cli) -> None:
    async def search(*options: str) -> list[dict]:
        done = await run_cli(used, "audit", "search", *options, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["items"]

    assert {item["action"] for item in await search("--user", "ALICE")} == {
        "auth.registration.completed",
        "auth.login.attempted",
        "auth.login.succeeded",
        "session.session.created",
        "audit.trail.read",
    }
    (registered,) = await search("--action", "auth.registration.completed")
    assert registered["details"]["username"] == "alice"
    assert registered["details"]["address"] == "127.0.0.1"
    assert registered["actor"] == {"type": "user", "id": registered["user_id"]}
    assert [
        item["id"]
        for item in await search("--user-id", registered["user_id"], "--action", "auth.registration.completed")
    ] == [registered["id"]]
    (unknown,) = await search("--user", "nobody", "--action", "auth.login.attempted")
    assert (unknown["user_id"], "username" in unknown["details"]) == (None, False)
    assert await search("--until", "2020-01-01") == []
    assert await search("--since", "2120-01-01T00:00:00Z") == []
    read = await search("--action", "audit.trail.read")
    assert {item["actor"]["type"] for item in read} == {"operator"}
    assert "action auth.registration.completed" in {item["details"].get("note") for item in read}


async def test_pages_tables_and_the_newest(used, run_cli) -> None:
    first = json.loads((await run_cli(used, "audit", "search", "--limit", "2", "--json")).stdout)
    table = await run_cli(used, "audit", "search", "--limit", "2", "--cursor", first["next_cursor"])
    assert table.returncode == 0
    assert "auth." in table.stdout
    assert "--cursor" in table.stderr
    newest = await run_cli(used, "audit", "tail", "-n", "3", "--json")
    lines = [json.loads(line) for line in newest.stdout.splitlines()]
    assert len(lines) == 3
    assert [line["occurred_at"] for line in lines] == sorted(line["occurred_at"] for line in lines)
    assert "alice" in (await run_cli(used, "audit", "tail")).stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--since", "yesterday"), "cypher: --since is a time"),
        (("--user", "two words"), "cypher: --user is not one"),
        (("--cursor", "x"), "cypher: --cursor is not one"),
    ],
)
async def test_what_is_no_option_is_said_in_a_sentence(service, run_cli, options, says) -> None:
    done = await run_cli(service, "audit", "search", *options)
    assert done.returncode == 1
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == 1


async def test_a_trail_that_holds_is_proven_and_one_that_was_edited_is_not(used, run_cli, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints.jsonl"
    printed = await run_cli(used, "audit", "checkpoint")
    checkpoint.write_text(printed.stdout)
    done = await run_cli(used, "audit", "verify", "--checkpoint", str(checkpoint))
    assert done.returncode == 0, done.stderr
    assert "The trail holds." in done.stdout
    assert "Checkpoints vouch for it up to seal" in done.stdout
    assert "entries" in done.stderr  # the progress bar
    alone = json.loads((await run_cli(used, "audit", "verify", "--json")).stdout)
    assert (alone["finding"], alone["entries"] >= 5) == (None, True)

    (first,) = await used.fetch("SELECT entry_id FROM audit_leaves ORDER BY seal_no, position LIMIT 1")
    await used.execute(f"UPDATE audit_logs SET outcome = 'failure' WHERE id = '{first['entry_id']}'")
    broken = await run_cli(used, "audit", "verify", "--json")
    assert broken.returncode == 1
    finding = json.loads(broken.stdout)["finding"]
    assert (finding["attack"], finding["entry_id"]) == ("edited", str(first["entry_id"]))
    assert f"The entry {first['entry_id']}" in broken.stderr
    assert {"audit.trail.verified", "audit.trail.broken"} <= set(await used.audited_actions())
    (alert,) = await used.audit("audit.trail.broken")
    assert alert["severity"] == "alert"


async def test_an_export_is_checked_with_public_keys_alone(used, run_cli, tmp_path: Path) -> None:
    exported, checkpoint = tmp_path / "trail.ndjson", tmp_path / "checkpoints.jsonl"
    checkpoint.write_text((await run_cli(used, "audit", "checkpoint")).stdout)
    done = await run_cli(used, "audit", "export", "--output", str(exported))
    assert done.returncode == 0, done.stderr
    assert exported.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    kinds = [line["type"] for line in lines]
    assert (kinds[0], kinds[1], kinds[-1]) == ("header", "public_key", "end")
    leaves = [line for line in lines if line["type"] == "leaf"]
    assert {leaf["entry"]["action"] for leaf in leaves} >= {"auth.registration.completed", "auth.login.succeeded"}
    assert [line["entry"]["action"] for line in lines if line["type"] == "unsealed"] == ["audit.trail.exported"]

    async def verify(file: Path = exported, *more: str):
        used.environment = {}  # neither a database nor keys
        return await run_cli(used, "audit", "verify", "--export", str(file), *more)

    done = await verify(exported, "--checkpoint", str(checkpoint))
    assert done.returncode == 0, done.stderr
    assert "The trail holds." in done.stdout
    assert leaves
    text = exported.read_text()
    attacks = {
        "a leaf's hash": text.replace(leaves[2]["entry_hash"], leaves[1]["entry_hash"], 1),
        "a leaf gone": "".join(line + "\n" for line in text.splitlines() if leaves[2]["entry_id"] not in line),
        "two leaves swapped": text.replace(leaves[1]["entry_id"], "X")
        .replace(leaves[2]["entry_id"], leaves[1]["entry_id"])
        .replace("X", leaves[2]["entry_id"]),
        "another key": re.sub(r'"key":"[^"]{42}', '"key":"' + "A" * 42, text),
        "no end": "".join(line + "\n" for line in text.splitlines()[:-1]),
        "not an export": "{}\n",
        "the end cut": "".join(
            line + "\n" for line in text.splitlines() if '"type":"seal"' not in line and '"type":"leaf"' not in line
        ),
    }
    for attack, changed in attacks.items():
        (tmp_path / "changed.ndjson").write_text(changed)
        done = await verify(tmp_path / "changed.ndjson", "--checkpoint", str(checkpoint))
        assert done.returncode == 1, attack
        assert "Traceback" not in done.stderr, attack


async def test_a_filtered_export_is_only_what_was_asked_for(used, run_cli) -> None:
    done = await run_cli(used, "audit", "export", "--action", "auth.login.succeeded")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["action"] for line in lines] == ["auth.login.succeeded"]
    assert "audit.trail.exported" in await used.audited_actions()


async def test_what_others_put_into_the_trail_is_escaped_and_bounded(service, person: Person, run_cli) -> None:
    registered = await person.register()
    long = ANSI + "x" * 10_000
    happening = Happening(
        event=Event.LOGIN_FAILED,
        outcome=Outcome.FAILURE,
        reason=long,
        user_id=UUID(registered.body["user"]["id"]),
        username=long,
        note=long,
    )
    source = Source(address=ANSI, user_agent=long, request_id=long)
    opened = service.resources
    async with opened.db.transaction() as repos:
        await opened.audit.record(repos, happening, source)
    opened.audit.record_failure(happening, source)
    await service.seal()
    for command in (("tail",), ("tail", "--json"), ("search", "--action", "auth.login.failed"), ("export",)):
        done = await run_cli(service, "audit", *command)
        assert done.returncode == 0, done.stderr
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout), command
        assert max(map(len, done.stdout.splitlines())) < 6000, command
    table = (await run_cli(service, "audit", "search", "--action", "auth.login.failed")).stdout
    assert "\\x1b" in table
    assert "[bold]" in table or "bold" not in table
    (row, _) = await service.audit("auth.login.failed")
    assert len(row["details"]) < 10_000
    # And what whoever owns the database writes into the columns that are not sealed.
    await service.execute("UPDATE audit_logs SET action = E'\\x1b[2Jgone', reason = E'\\x07', request_id = E'\\x1b[1m'")
    for command in (("tail",), ("tail", "--json"), ("verify",)):
        done = await run_cli(service, "audit", *command)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout), command
