"""What operators do over HTTP is what the commands do, and the trail names who did it."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from cypher.auth.service_tokens import Scope
from cypher.crypto.keyring import Purpose
from cypher.web import middlewares
from tests.acceptance.operators.conftest import NO_ID, NO_KEY, SCOPED, Desk, OpenDesk, printed
from tests.acceptance.person import Person
from tests.acceptance.service import free_port

KEYS, REENCRYPTION, LIMITS = "/admin/v1/keys", "/admin/v1/reencryption", "/admin/v1/rate-limits"
SUBJECT = {"category": "login-name", "identifier": "ALICE"}
SUBJECT_OPTIONS = ("--category", "login-name", "--identifier", "ALICE")


@pytest.fixture
async def alice(desk: Desk, http) -> Person:
    person = Person(http, desk.service.url, "alice")
    assert (await person.register()).status == 201
    return person


async def aged_key(desk: Desk) -> str:
    """Return a data key that was replaced long ago and has no rows."""
    ring = desk.service.resources.ring
    old = ring.primary(Purpose.DATA).id
    assert (await desk.as_("key_custodian", "POST", f"{KEYS}/rotate", json={})).status == 201
    await moved(desk)

    def long_ago(stored):
        hour = timedelta(hours=1)
        return replace(stored, keys=tuple(replace(key, activated_at=key.activated_at - hour) for key in stored.keys))

    await asyncio.to_thread(ring.change, long_ago)
    return old


async def moved(desk: Desk) -> None:
    """Let everything be moved to the active key."""
    assert (await desk.as_("key_custodian", "POST", REENCRYPTION, json={})).status == 202
    async with asyncio.timeout(20):
        while True:
            status = (await desk.as_("viewer", "GET", REENCRYPTION)).body
            if not status["remaining"] and not status["is_running"]:
                return
            await asyncio.sleep(0.05)


# -- the same as the commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "path", "params", "command"),
    [
        ("viewer", KEYS, {}, ("keys", "status")),
        ("viewer", REENCRYPTION, {}, ("keys", "progress")),
        ("operator", LIMITS, {}, ("rate-limits", "list")),
    ],
)
async def test_a_route_says_what_its_command_prints(
    desk: Desk, alice: Person, run_cli, scope: str, path: str, params: dict[str, str], command: tuple[str, ...]
) -> None:
    await desk.token(scope)  # an entry in the trail, and so a row that a key is counted by
    shown = await printed(run_cli, desk, *command)
    answer = await desk.as_(scope, "GET", path, params=params)
    assert (answer.status, answer.body) == (200, shown)


async def test_a_subject_of_a_limit_is_shown_and_reset_as_by_the_commands(open_desk: OpenDesk, http, run_cli) -> None:
    desk = await open_desk(RATE_LIMIT_LOGIN_NAME="5/3600")
    alice = Person(http, desk.service.url, "alice")
    for expected in (4, 3):
        await alice.start_login()
        shown = await printed(run_cli, desk, "rate-limits", "show", *SUBJECT_OPTIONS)
        answer = await desk.as_("operator", "GET", LIMITS, params=SUBJECT)
        assert answer.status == 200
        assert answer.body["remaining"] == expected
        passing = {"retry_after", "reset"}  # seconds from now
        assert set(answer.body) == set(shown)
        assert {name: answer.body[name] for name in set(shown) - passing} == {
            name: shown[name] for name in set(shown) - passing
        }
    answer = await desk.as_("operator", "DELETE", LIMITS, params=SUBJECT)
    assert answer.body == {"category": "login-name", "identifier": "alice", "was_counted": True}
    again = await desk.as_("operator", "DELETE", LIMITS, params=SUBJECT)
    assert again.body == await printed(run_cli, desk, "rate-limits", "reset", *SUBJECT_OPTIONS)


async def test_a_key_is_replaced_and_destroyed_as_by_the_commands(desk: Desk, alice: Person, run_cli) -> None:
    by_http, by_command = [], []
    for into, old in ((by_http, await aged_key(desk)), (by_command, await aged_key(desk))):
        if into is by_http:
            made = (await desk.as_("key_custodian", "POST", f"{KEYS}/rotate", json={"purpose": "cache"})).body
            gone = (await desk.as_("key_custodian", "POST", f"{KEYS}/{old}/destroy")).body
        else:
            made = await printed(run_cli, desk, "keys", "rotate", "--purpose", "cache")
            gone = await printed(run_cli, desk, "keys", "destroy", old)
        assert gone == {"key_id": old, "rows_before": 0, "rows_after": 0}
        into += [{name: value for name, value in made.items() if name not in ("id", "created_at", "activated_at")}]
        assert made["id"].startswith("cache-")
    assert by_http == by_command
    states = {key["id"]: key["state"] for key in (await desk.as_("viewer", "GET", KEYS)).body["items"]}
    assert list(states.values()).count("destroyed") == 2
    assert (await alice.login()).status == 200


# -- what is done, and what is refused ------------------------------------------------------------------------


async def test_a_key_that_is_needed_or_was_just_replaced_is_409_and_stays(desk: Desk, alice: Person) -> None:
    ring = desk.service.resources.ring
    custodian = await desk.token("key_custodian")
    first = ring.primary(Purpose.DATA).id
    for key_id in (first, ring.primary(Purpose.AUDIT).id, ring.first(Purpose.OPAQUE).id):
        answer = await desk.bearing(custodian, "POST", f"{KEYS}/{key_id}/destroy")
        assert (answer.status, answer.body["code"]) == (409, "key_in_use")
    await desk.bearing(custodian, "POST", f"{KEYS}/rotate", json={})
    answer = await desk.bearing(custodian, "POST", f"{KEYS}/{first}/destroy")
    assert (answer.status, answer.body["code"]) == (409, "key_in_use")
    assert first not in json.dumps(answer.body)
    assert {info.state for info in ring.get_key_info()} == {"active", "decrypt_only"}


@pytest.mark.parametrize("key_id", [NO_KEY, "x", "..", "%00", "x" * 300, "%F0%9F%94%91"])
async def test_a_key_that_is_not_there_is_404(desk: Desk, key_id: str) -> None:
    answer = await desk.as_("key_custodian", "POST", f"{KEYS}/{key_id}/destroy")
    assert answer.status in (404, 405)  # "..": the client takes it out of the path


async def test_a_destroyed_key_is_not_there_any_more(desk: Desk, alice: Person) -> None:
    old = await aged_key(desk)
    assert (await desk.as_("key_custodian", "POST", f"{KEYS}/{old}/destroy")).status == 200
    assert (await desk.as_("key_custodian", "POST", f"{KEYS}/{old}/destroy")).status == 404
    assert len(await desk.service.audit("crypto.key.destroyed")) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"purpose": "index"}, "/purpose"),
        ({"purpose": "fake"}, "/purpose"),
        ({"purpose": "everything"}, "/purpose"),
        ({"purpose": "signing", "algorithm": "fernet"}, "/algorithm"),
        ({"algorithm": "hmac"}, "/algorithm"),
    ],
)
async def test_what_cannot_be_rotated_is_422_and_names_the_field(desk: Desk, body: dict[str, str], field: str) -> None:
    generation = desk.service.resources.ring.generation
    answer = await desk.as_("key_custodian", "POST", f"{KEYS}/rotate", json=body)
    assert (answer.status, answer.body["errors"]) == (422, [{"pointer": field, "code": "invalid"}])
    assert desk.service.resources.ring.generation == generation


async def test_a_second_signing_key_waits_for_the_first(desk: Desk) -> None:
    first = await desk.as_("key_custodian", "POST", f"{KEYS}/rotate", json={"purpose": "signing"})
    assert (first.status, first.body["state"]) == (201, "pending")
    second = await desk.as_("key_custodian", "POST", f"{KEYS}/rotate", json={"purpose": "signing"})
    assert (second.status, second.body["code"]) == (409, "key_pending")


async def test_the_cipher_is_changed_and_every_value_is_moved(desk: Desk, alice: Person) -> None:
    made = await desk.as_("key_custodian", "POST", f"{KEYS}/rotate", json={"algorithm": "aes-256-gcm"})
    assert (made.body["algorithm"], made.body["state"]) == ("aes-256-gcm", "active")
    before = (await desk.as_("viewer", "GET", REENCRYPTION)).body
    assert before == {"active_key": made.body["id"], "remaining": 3, "is_running": False}
    await moved(desk)
    rows = {key["id"]: key["rows_remaining"] for key in (await desk.as_("viewer", "GET", KEYS)).body["items"]}
    assert rows[made.body["id"]] == 3  # a name, a record, and the secret of what the trail says of them
    assert (await alice.login()).status == 200


@pytest.mark.parametrize(
    "params",
    [
        {"category": "login-name"},
        {"identifier": "alice"},
        {"category": "login-name", "identifier": ""},
        {"category": "login-name", "identifier": "two words"},
        {"category": "default-address", "identifier": "alice"},
        {"category": "everything", "identifier": "alice"},
        [("category", "login-name"), ("category", "login-name"), ("identifier", "alice")],
    ],
)
async def test_half_a_subject_or_none_is_422(open_desk: OpenDesk, params) -> None:
    desk = await open_desk(RATE_LIMIT_LOGIN_NAME="5/3600", RATE_LIMIT_DEFAULT_ADDRESS="600/60")
    for method in ("GET", "DELETE"):
        answer = await desk.as_("operator", method, LIMITS, params=params)
        assert (answer.status, answer.body["code"]) == (422, "validation_failed")
        assert "alice" not in json.dumps(answer.body)
    assert await desk.service.audit("admin.rate_limit.reset") == []


async def test_a_limit_that_is_off_has_nobody_to_show(desk: Desk) -> None:
    assert (await desk.as_("operator", "GET", LIMITS, params=SUBJECT)).status == 404


async def test_a_person_loses_a_factor_by_an_operators_hand(desk: Desk, alice: Person) -> None:
    user_id = (await alice.login()).body["session"]["user_id"]
    assert (await desk.as_("operator", "POST", f"/admin/v1/users/{user_id}/reset-factors")).status == 204
    for nobody in (NO_ID, "alice", "%7B" + user_id + "%7D", user_id.replace("-", "")):
        assert (await desk.as_("operator", "POST", f"/admin/v1/users/{nobody}/reset-factors")).status == 404
    [entry] = await desk.service.audit("admin.factors.reset")
    assert str(entry["user_id"]) == user_id


# -- who did it -----------------------------------------------------------------------------------------------


async def test_the_trail_names_the_token_of_who_acted(desk: Desk, alice: Person, run_cli) -> None:
    old = await aged_key(desk)
    user_id = (await alice.login()).body["session"]["user_id"]
    custodian, operator = await desk.token("key_custodian"), await desk.token("operator")
    headers = {"Authorization": f"Bearer {custodian}", "X-Request-Id": "who-did-this"}
    assert (await desk.ask("POST", f"{KEYS}/{old}/destroy", headers)).status == 200
    await desk.bearing(operator, "DELETE", LIMITS, params=SUBJECT)
    await desk.bearing(operator, "POST", f"/admin/v1/users/{user_id}/reset-factors")
    expected = {
        "crypto.key.rotated": custodian,
        "crypto.key.destroyed": custodian,
        "crypto.reencryption.started": custodian,
        "crypto.reencryption.completed": custodian,
        "admin.rate_limit.reset": operator,
        "admin.factors.reset": operator,
    }
    for action, token in expected.items():
        [entry] = await desk.service.audit(action)
        assert (entry["actor_type"], entry["actor_id"]) == ("operator", desk.ids[token]), action
        assert entry["request_id"]
    [destroyed] = await desk.service.audit("crypto.key.destroyed")
    assert destroyed["request_id"] == "who-did-this"
    await run_cli(desk.service, "rate-limits", "reset", *SUBJECT_OPTIONS)
    at_the_terminal = (await desk.service.audit("admin.rate_limit.reset"))[-1]
    assert (at_the_terminal["actor_type"], at_the_terminal["actor_id"]) == ("operator", None)


async def test_who_asks_for_what_a_token_is_not_for_changes_nothing(desk: Desk, all_scopes: tuple[str, ...]) -> None:
    before, generation = await desk.service.audited_actions(), desk.service.resources.ring.generation
    for path in (f"{KEYS}/rotate", REENCRYPTION):
        for scope in set(all_scopes) - {"key_custodian"}:
            assert (await desk.as_(scope, "POST", path, json={})).status == 403
    assert desk.service.resources.ring.generation == generation
    after = [action for action in await desk.service.audited_actions() if action != "admin.service_token.created"]
    assert after == before


# -- nothing leaks, everything ends ---------------------------------------------------------------------------


async def test_no_answer_and_no_log_line_holds_a_token_or_a_key(
    desk: Desk, alice: Person, all_scopes: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = await desk.token(*all_scopes)
    ring = desk.service.resources.ring
    secrets = [ring.find(info.id).secret for info in ring.get_key_info()]
    answers = [await desk.call(route, {"Authorization": f"Bearer {token}"}) for route in SCOPED]
    answers += [await desk.ask("GET", path) for path in ("/openapi.json", "/docs")]
    written = json.dumps([[answer.body, answer.headers] for answer in answers]) + caplog.text
    assert "cys_" not in written
    for secret in secrets:
        assert secret.hex()[:16] not in written
    assert token not in await desk.service.dump()


async def test_what_reads_whole_tables_has_more_time_than_the_rest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await desk.token(*Scope)
    monkeypatch.setattr(middlewares, "DEADLINE_SECONDS", 0.2)
    list_keys, list_categories = desk.operations.keys.list_keys, desk.operations.limits.list_categories

    async def slow_keys():
        await asyncio.sleep(0.5)
        return await list_keys()

    async def slow_categories():
        await asyncio.sleep(0.5)
        return await list_categories()

    monkeypatch.setattr(desk.operations.keys, "list_keys", slow_keys)
    monkeypatch.setattr(desk.operations.limits, "list_categories", slow_categories)
    assert (await desk.bearing(token, "GET", KEYS)).status == 200
    assert (await desk.bearing(token, "GET", LIMITS)).status == 503


async def test_a_key_that_was_made_is_written_down_though_nobody_waits(desk: Desk, monkeypatch) -> None:
    custody, ring = desk.operations.keys, desk.service.resources.ring
    going_on, loop, change = asyncio.Event(), asyncio.get_running_loop(), ring.change

    def slow_change(edit):
        asyncio.run_coroutine_threadsafe(going_on.wait(), loop).result(10)
        return change(edit)

    monkeypatch.setattr(ring, "change", slow_change)
    asking = asyncio.create_task(custody.rotate(Purpose.DATA, None))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    going_on.set()
    await custody.finish()
    assert len(await desk.service.audit("crypto.key.rotated")) == 1


async def test_without_redis_what_needs_it_is_503_and_the_rest_goes_on(open_desk: OpenDesk) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    desk = await open_desk(REDIS_URL=nowhere, RATE_LIMIT_LOGIN_NAME="5/3600")
    for method, params in (("GET", {}), ("GET", SUBJECT), ("DELETE", SUBJECT)):
        answer = await desk.as_("operator", method, LIMITS, params=params)
        assert (answer.status, answer.body["code"]) == (503, "dependency_unavailable")
        assert "Retry-After" in answer.headers
    assert (await desk.as_("viewer", "GET", KEYS)).status == 200


async def test_without_postgresql_nobody_is_let_in(desk: Desk) -> None:
    token = await desk.token(*Scope)
    await desk.service.resources.db.close()
    for route in SCOPED:
        answer = await desk.call(route, {"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.body["code"]) == (503, "dependency_unavailable")
        assert "Retry-After" in answer.headers
