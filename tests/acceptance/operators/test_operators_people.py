"""What an operator does about people and their sessions: it holds at once, it is in the trail, it shows no secret."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from cypher.web.routes import Needs
from tests.acceptance.new_passwords import recover
from tests.acceptance.operators.conftest import ASKED, NO_ID, SCOPED, Desk, printed
from tests.acceptance.person import Answer, Person
from tests.acceptance.service import StartService

USERS, REVOKE = "/admin/v1/users", "/admin/v1/sessions/revoke"
ADDRESS_AND_AGENT = ("127.0.0.1", "a-browser-that-gives-itself-away")


@pytest.fixture
async def alice(desk: Desk, http) -> Person:
    person = Person(http, desk.service.url, "alice")
    assert (await person.register()).status == 201
    return person


@pytest.fixture
async def login(alice: Person) -> dict:
    return (await alice.login()).body


@pytest.fixture
def user_id(login: dict) -> str:
    return login["session"]["user_id"]


async def operate(desk: Desk, method: str, path: str, **options) -> Answer:
    return await desk.as_("operator", method, path, **options)


# -- finding --------------------------------------------------------------------------------------------------


async def test_people_are_listed_page_by_page_and_each_once(desk: Desk, http, monkeypatch) -> None:
    monkeypatch.setattr(type(desk.operations.people).list_users, "__kwdefaults__", {"cursor": None, "most": 2})
    names = [f"person-{number}" for number in range(5)]
    for name in names:
        assert (await Person(http, desk.service.url, name).register()).status == 201
    seen, params = [], {}
    for _ in range(3):
        page = (await desk.as_("viewer", "GET", USERS, params=params)).body
        seen += [user["username"] for user in page["items"]]
        params = {"cursor": page["next_cursor"]}
    assert (seen, page["next_cursor"]) == (names, None)


async def test_somebody_is_found_by_the_whole_name_in_any_spelling(desk: Desk, alice: Person, user_id: str) -> None:
    for spelling in ("alice", "ALICE", "\uff21lice"):
        page = (await desk.as_("viewer", "GET", USERS, params={"username": spelling})).body
        assert [user["id"] for user in page["items"]] == [user_id]
    for other in ("alic", "alice2", "%"):
        answer = await desk.as_("viewer", "GET", USERS, params={"username": other})
        assert (answer.status, answer.body) == (200, {"items": [], "next_cursor": None})


@pytest.mark.parametrize(
    "params",
    [
        {"username": ""},
        {"username": "two words"},
        {"username": "\u0440aypal"},
        {"cursor": "alice"},
        {"cursor": ""},
        [("username", "alice"), ("username", "bob")],
    ],
)
async def test_a_query_that_nobody_could_mean_is_422(desk: Desk, params) -> None:
    answer = await desk.as_("viewer", "GET", USERS, params=params)
    assert (answer.status, answer.body["code"]) == (422, "validation_failed")


async def test_one_person_is_shown_as_by_the_command(desk: Desk, alice: Person, user_id: str, run_cli) -> None:
    shown = await desk.as_("viewer", "GET", f"{USERS}/{user_id}")
    assert shown.body == await printed(run_cli, desk, "users", "show", "alice")
    assert set(shown.body) == {
        *("id", "username", "is_active", "totp_enabled", "locked_until", "created_at", "last_login_at")
    }
    page = await desk.as_("viewer", "GET", USERS)
    assert page.body == await printed(run_cli, desk, "users", "list")
    named = await desk.as_("viewer", "GET", USERS, params={"username": "alice"})
    assert named.body == await printed(run_cli, desk, "users", "list", "--username", "alice")
    sessions = await operate(desk, "GET", f"{USERS}/{user_id}/sessions")
    assert sessions.body == await printed(run_cli, desk, "sessions", "list", "alice")
    counted = await operate(desk, "POST", REVOKE, json={"filter": {"aal": 1}, "dry_run": True})
    assert counted.body == await printed(run_cli, desk, "sessions", "revoke", "--aal", "1", "--dry-run")


async def test_what_is_done_answers_as_the_command_does(desk: Desk, alice: Person, user_id: str, run_cli) -> None:
    for verb, options in (("lock", ("--yes",)), ("unlock", ()), ("disable", ("--yes",)), ("enable", ())):
        by_http = (await operate(desk, "POST", f"{USERS}/{user_id}/{verb}")).body
        by_command = await printed(run_cli, desk, "users", verb, "alice", *options)
        by_http["locked_until"], by_command["locked_until"] = (
            bool(by_http["locked_until"]),
            bool(by_command["locked_until"]),
        )
        assert by_http == by_command
    made = (await operate(desk, "POST", f"{USERS}/{user_id}/recovery")).body
    assert set(made) == set(await printed(run_cli, desk, "users", "recovery", "alice"))
    invited = (await operate(desk, "POST", USERS, json={"username": "bob"})).body
    assert set(invited) == set(await printed(run_cli, desk, "users", "create", "carol"))
    ended = (await operate(desk, "DELETE", f"{USERS}/{user_id}/sessions")).body
    assert ended == await printed(run_cli, desk, "sessions", "revoke", "alice", "--yes")


@pytest.mark.parametrize("nobody", [NO_ID, "alice", "00000000000000000000000000000000", "%7B" + NO_ID + "%7D"])
async def test_nobody_is_404_on_every_route(desk: Desk, nobody: str) -> None:
    for route in SCOPED:
        if "{id}" in route.path:
            answer = await operate(desk, route.method, route.path.replace("{id}", nobody))
            assert (answer.status, answer.body["code"]) == (404, "not_found"), route


# -- letting in -----------------------------------------------------------------------------------------------


async def test_somebody_is_made_and_chooses_a_password_by_the_token_once(desk: Desk, http) -> None:
    made = await operate(desk, "POST", USERS, json={"username": "Bob", "password": "canary", "opaque_record": "canary"})
    assert (made.status, made.body["user"]["username"]) == (201, "bob")
    bob = Person(http, desk.service.url, "bob")
    assert (await recover(bob, made.body["recovery_token"], b"chosen")).status == 204
    bob.password = b"chosen"
    assert (await bob.login()).body["session"]["user_id"] == made.body["user"]["id"]
    assert (await recover(bob, made.body["recovery_token"], b"again")).status == 410
    assert made.body["recovery_token"] not in await desk.service.dump()
    assert "canary" not in await desk.service.dump()
    twice = await operate(desk, "POST", USERS, json={"username": "BOB"})
    assert (twice.status, twice.body["code"]) == (409, "username_taken")


@pytest.mark.parametrize("body", [{}, {"username": ""}, {"username": "two words"}, {"username": 7}, []])
async def test_a_name_that_nobody_may_have_is_422(desk: Desk, body: object) -> None:
    answer = await operate(desk, "POST", USERS, json=body)
    assert (answer.status, answer.body["code"]) == (422, "validation_failed")


async def test_who_has_lost_the_password_is_helped_back_in(desk: Desk, alice: Person, user_id: str) -> None:
    made = await operate(desk, "POST", f"{USERS}/{user_id}/recovery")
    assert made.status == 201
    assert (await recover(alice, made.body["recovery_token"], b"another")).status == 204
    alice.password = b"another"
    assert (await alice.login()).status == 200


@pytest.mark.parametrize(("verb", "code"), [("lock", "account_locked"), ("disable", "account_disabled")])
async def test_who_is_kept_out_gets_no_token(desk: Desk, user_id: str, verb: str, code: str) -> None:
    await operate(desk, "POST", f"{USERS}/{user_id}/{verb}")
    refused = await operate(desk, "POST", f"{USERS}/{user_id}/recovery")
    assert (refused.status, refused.body["code"]) == (403, code)


# -- keeping out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "back"), [("lock", "unlock"), ("disable", "enable")])
async def test_who_is_kept_out_is_out_at_once_on_every_instance_and_comes_back(
    desk: Desk, start_service: StartService, alice: Person, login: dict, user_id: str, verb: str, back: str
) -> None:
    other = await start_service()
    elsewhere = Person(alice.http, other.url, "alice")
    assert (await elsewhere.session(login["access_token"])).status == 200
    shut = await operate(desk, "POST", f"{USERS}/{user_id}/{verb}")
    assert shut.status == 200
    assert bool(shut.body["locked_until"]) is (verb == "lock")
    assert shut.body["is_active"] is (verb == "lock")
    for person in (alice, elsewhere):
        assert (await person.session(login["access_token"])).body["code"] == "session_expired"
    assert (await alice.login()).status == 403
    assert (await operate(desk, "POST", f"{USERS}/{user_id}/{back}")).status == 200
    assert (await alice.login()).status == 200
    assert (await alice.session(login["access_token"])).status == 401


async def test_who_is_deleted_is_gone_and_the_name_free(desk: Desk, alice: Person, login: dict, user_id: str) -> None:
    assert (await operate(desk, "DELETE", f"{USERS}/{user_id}")).status == 204
    assert (await alice.session(login["access_token"])).status == 401
    assert (await operate(desk, "GET", f"{USERS}/{user_id}")).status == 404
    assert (await operate(desk, "DELETE", f"{USERS}/{user_id}")).status == 404
    assert (await alice.register()).status == 201


async def test_without_redis_keeping_somebody_out_is_not_said_to_be_done(
    desk: Desk, alice: Person, user_id: str, monkeypatch
) -> None:
    from cypher.auth.living import LivingSessions
    from cypher.errors import RedisUnavailable

    async def away(self, *arguments: object) -> None:
        raise RedisUnavailable

    monkeypatch.setattr(LivingSessions, "bury", away)
    assert (await operate(desk, "POST", f"{USERS}/{user_id}/disable")).status == 503
    monkeypatch.undo()
    assert (await operate(desk, "POST", f"{USERS}/{user_id}/disable")).status == 200
    assert (await alice.login()).status == 403


# -- sessions -------------------------------------------------------------------------------------------------


async def test_sessions_are_listed_without_telling_from_where(desk: Desk, alice: Person) -> None:
    body = alice.prove(*await alice.start_login())
    logged_in = await alice.post("/v1/login/finish", body, headers={"User-Agent": ADDRESS_AND_AGENT[1]})
    session = logged_in.body["session"]
    listed = await operate(desk, "GET", f"{USERS}/{session['user_id']}/sessions")
    assert [item["id"] for item in listed.body["items"]] == [session["id"]]
    for canary in ADDRESS_AND_AGENT:
        assert canary not in json.dumps(listed.body)


async def test_every_session_of_somebody_ends_and_nobody_elses(desk: Desk, alice: Person, login: dict, http) -> None:
    bob = Person(http, desk.service.url, "bob")
    await bob.register()
    theirs = (await bob.login()).body["access_token"]
    user_id = login["session"]["user_id"]
    ended = await operate(desk, "DELETE", f"{USERS}/{user_id}/sessions")
    assert ended.body == {"revoked": 1, "dry_run": False}
    assert (await alice.session(login["access_token"])).status == 401
    assert (await alice.refresh(login["refresh_token"])).status == 400
    assert (await bob.session(theirs)).status == 200


async def test_a_dry_run_counts_and_ends_nothing(desk: Desk, alice: Person, login: dict) -> None:
    await alice.login()
    before = await desk.service.audited_actions()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for which, count in (
        ({"all": True}, 2),
        ({"aal": 1}, 2),
        ({"aal": 2}, 0),
        ({"user_id": login["session"]["user_id"]}, 2),
        ({"user_id": NO_ID}, 0),
        ({"created_before": tomorrow}, 2),
        ({"created_before": "2020-01-01T00:00:00Z"}, 0),
        ({"seen_before": tomorrow, "aal": 1}, 2),
    ):
        answer = await operate(desk, "POST", REVOKE, json={"filter": which, "dry_run": True})
        assert answer.body == {"revoked": count, "dry_run": True}, which
    assert (await alice.session(login["access_token"])).status == 200
    after = await desk.service.audited_actions()
    assert [action for action in after if action != "admin.service_token.created"] == before


async def test_what_was_counted_ends(desk: Desk, alice: Person, login: dict) -> None:
    second = (await alice.login()).body
    await desk.service.execute(
        f"UPDATE user_sessions SET created_at = now() - interval '2 days' WHERE session_id = '{login['session']['id']}'"
    )
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    answer = await operate(desk, "POST", REVOKE, json={"filter": {"created_before": yesterday}})
    assert answer.body == {"revoked": 1, "dry_run": False}
    assert (await alice.session(login["access_token"])).status == 401
    assert (await alice.session(second["access_token"])).status == 200
    assert (await operate(desk, "POST", REVOKE, json={"filter": {"all": True}})).body["revoked"] == 1
    assert (await alice.session(second["access_token"])).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"dry_run": True},
        {"filter": None},
        {"filter": {"all": False}},
        {"filter": {"all": True, "aal": 1}},
        {"filter": {"aal": 3}},
        {"filter": {"user_id": "alice"}},
        {"filter": {"all": True, "created_befor": "2020-01-01T00:00:00Z"}},
        {"filter": {"created_before": "2020-01-01T00:00:00"}},
        {"filter": {"created_before": "yesterday"}},
        {"filter": {"created_before": "0001-01-01T00:00:00+14:00"}},
        {"filter": {"seen_before": "9999-12-31T23:59:59-14:00"}},
        {"filter": {"aal": 1}, "dry_run": "no"},
    ],
)
async def test_a_filter_that_is_not_understood_ends_nothing(desk: Desk, alice: Person, login: dict, body) -> None:
    answer = await operate(desk, "POST", REVOKE, json=body)
    assert (answer.status, answer.body["code"]) == (422, "validation_failed")
    assert (await alice.session(login["access_token"])).status == 200


# -- who did it -----------------------------------------------------------------------------------------------

#: What each route that changes something leaves in the trail.
LEAVES = {
    ("POST", "/admin/v1/users"): "admin.user.created",
    ("POST", "/admin/v1/users/{id}/lock"): "admin.user.locked",
    ("POST", "/admin/v1/users/{id}/unlock"): "admin.user.unlocked",
    ("POST", "/admin/v1/users/{id}/disable"): "admin.user.disabled",
    ("POST", "/admin/v1/users/{id}/enable"): "admin.user.enabled",
    ("POST", "/admin/v1/users/{id}/reset-factors"): "admin.factors.reset",
    ("POST", "/admin/v1/users/{id}/recovery"): "admin.recovery.issued",
    ("DELETE", "/admin/v1/users/{id}/sessions"): "admin.sessions.revoked",
    ("POST", "/admin/v1/sessions/revoke"): "admin.sessions.revoked",
    ("DELETE", "/admin/v1/users/{id}"): "admin.user.deleted",
    ("DELETE", "/admin/v1/rate-limits"): "admin.rate_limit.reset",
}


def test_every_route_of_an_operator_that_changes_something_is_watched() -> None:
    changing = {(r.method, r.path) for r in SCOPED if r.needs is Needs.OPERATOR and r.method != "GET"}
    assert set(LEAVES) == changing


async def test_the_trail_names_the_token_after_every_change(desk: Desk, alice: Person, user_id: str) -> None:
    token = await desk.token("operator")
    for number, ((method, path), action) in enumerate(LEAVES.items()):
        if path.endswith("revoke"):
            await alice.login()
        options = {**ASKED.get((method, path), {})}
        if path.endswith("revoke"):
            options = {"json": {"filter": {"all": True}}}
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": f"request-{number:02}"}
        answer = await desk.ask(method, path.replace("{id}", user_id), headers, **options)
        assert answer.status in (200, 201, 204), (path, answer)
        entry = (await desk.service.audit(action))[-1]
        assert (entry["actor_type"], entry["actor_id"]) == ("operator", desk.ids[token]), path
        assert entry["request_id"] == f"request-{number:02}"
        if "{id}" in path:
            assert str(entry["user_id"]) == user_id
