"""A person registers, logs in, is recognised, refreshes, logs out."""

import asyncio

import pytest

from tests.acceptance.person import Person, b64


async def test_a_person_registers_logs_in_is_recognised_and_logs_out(person: Person) -> None:
    registered = await person.register()
    assert registered.status == 201
    assert registered.body["user"]["username"] == person.username

    login = await person.login()
    assert login.status == 200
    assert login.body["status"] == "authenticated"
    session = login.body["session"]
    assert session["username"] == person.username
    assert (session["aal"], session["amr"]) == (1, ["opaque"])

    seen = await person.session(login.body["access_token"])
    assert (seen.status, seen.body["id"]) == (200, session["id"])

    gone = await person.bearing("DELETE", "/v1/session", login.body["access_token"])
    assert gone.status == 204
    after = await person.session(login.body["access_token"])
    assert (after.status, after.body["code"]) == (401, "session_expired")
    assert after.headers["WWW-Authenticate"] == "Bearer"
    refreshed = await person.refresh(login.body["refresh_token"])
    assert (refreshed.status, refreshed.body["error"]) == (400, "invalid_grant")


async def test_a_wrong_password_is_refused(person: Person) -> None:
    await person.register()
    started, _ = await person.start_login()
    answer = await person.post("/v1/login/finish", {"flow_id": started.body["flow_id"], "ke3": b64(bytes(64))})
    assert (answer.status, answer.body["code"]) == (401, "invalid_credentials")


async def test_a_name_is_one_name_in_every_case_and_width(person: Person) -> None:
    person.username = "Zoë.Example"
    assert (await person.register()).body["user"]["username"] == "zoë.example"
    person.username = "\uff3aO\u00cb.EXAMPLE"
    assert (await person.login()).status == 200
    again = await person.register()
    assert (again.status, again.body["code"]) == (409, "username_taken")


@pytest.mark.parametrize("name", ["", " ", "a b", "раypal", "x" * 65, "ö" * 128, "a\u202eb", "Ⅷ"])
async def test_a_name_that_is_not_allowed_is_refused_at_both_starts(person: Person, name: str) -> None:
    person.username = name
    for start in (person.start_registration, person.start_login):
        answer, _ = await start()
        assert (answer.status, answer.body["code"]) == (422, "validation_failed")
        assert answer.body["errors"][0]["pointer"] == "/username"


async def test_registration_finish_asked_again_gives_the_same_answer_and_overwrites_nothing(person: Person) -> None:
    started, state = await person.start_registration()
    first = await person.finish_registration(started, state)
    person.password, right = b"another password, by somebody who saw the flow", person.password
    other = Person(person.http, person.url, person.username, person.password)
    other_start, other_state = await other.start_registration()
    other_start.body["flow_id"] = started.body["flow_id"]
    again = await other.finish_registration(other_start, other_state)
    assert (again.status, again.body) == (first.status, first.body)
    person.password = right
    assert (await person.login()).status == 200


async def test_twenty_registrations_of_one_name_leave_one_user_whose_password_works(person: Person) -> None:
    people = [Person(person.http, person.url, "the-one", f"password {i}".encode()) for i in range(20)]
    records = [each.record(*await each.start_registration()) for each in people]
    answers = await asyncio.gather(*(person.post("/v1/registration/finish", record) for record in records))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    winner = people[[answer.status for answer in answers].index(201)]
    assert (await winner.login()).status == 200


async def test_one_ke3_finished_eight_times_at_once_succeeds_once(person: Person) -> None:
    await person.register()
    started, state = await person.start_login()
    proof = person.prove(started, state)
    answers = await asyncio.gather(*(person.post("/v1/login/finish", proof) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [410] * 7


async def test_a_message_of_a_wrong_length_does_not_consume_the_flow(person: Person) -> None:
    await person.register()
    started, state = await person.start_login()
    proof = person.prove(started, state)
    for ke3 in ("", "AA", proof["ke3"] + "AA", proof["ke3"][:-1] + "=", "ä" * 86):
        answer = await person.post("/v1/login/finish", {**proof, "ke3": ke3})
        assert (answer.status, answer.body["code"]) == (400, "malformed_opaque_message")
    assert (await person.post("/v1/login/finish", proof)).status == 200


async def test_a_person_sees_and_ends_their_sessions(person: Person) -> None:
    await person.register()
    logins = [(await person.login()).body for _ in range(3)]
    mine = logins[0]["access_token"]
    listed = await person.bearing("GET", "/v1/sessions", mine)
    assert {item["id"] for item in listed.body["items"]} == {login["session"]["id"] for login in logins}
    assert [item["id"] for item in listed.body["items"] if item["current"]] == [logins[0]["session"]["id"]]
    assert listed.body["items"][0]["ip_address"] == "127.0.0.1"

    one = logins[1]["session"]["id"]
    assert (await person.bearing("DELETE", f"/v1/sessions/{one}", mine)).status == 204
    assert (await person.session(logins[1]["access_token"])).status == 401
    others = await person.bearing("DELETE", "/v1/sessions?scope=others", mine)
    assert (others.status, others.body) == (200, {"revoked": 1})
    assert (await person.session(logins[2]["access_token"])).status == 401
    assert (await person.session(mine)).status == 200
    everything = await person.bearing("DELETE", "/v1/sessions?scope=all", mine)
    assert everything.body == {"revoked": 1}
    assert (await person.session(mine)).status == 401


async def test_another_persons_session_is_not_found(person: Person) -> None:
    await person.register()
    other = Person(person.http, person.url, "mallory")
    await other.register()
    mine, theirs = (await person.login()).body, (await other.login()).body
    answer = await person.bearing("DELETE", f"/v1/sessions/{theirs['session']['id']}", mine["access_token"])
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert (await other.session(theirs["access_token"])).status == 200


async def test_a_login_that_began_before_all_sessions_were_ended_cannot_finish(person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    started, state = await person.start_login()
    await person.bearing("DELETE", "/v1/sessions?scope=all", login["access_token"])
    late = await person.post("/v1/login/finish", person.prove(started, state))
    assert (late.status, late.body["code"]) == (410, "flow_expired")
    assert (await person.login()).status == 200


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ("UPDATE users SET opaque_credential_id = '\\x00112233445566778899aabbccddeeff'", 410, "flow_expired"),
        ("UPDATE users SET sessions_revoked_at = now()", 410, "flow_expired"),
        ("UPDATE users SET is_active = FALSE", 403, "account_disabled"),
        ("UPDATE users SET locked_until = now() + INTERVAL '1 hour'", 403, "account_locked"),
        ("DELETE FROM users", 410, "flow_expired"),
        ("REVOKE INSERT ON audit_logs FROM cypher_service", 503, "dependency_unavailable"),
    ],
    ids=["password", "sessions", "disabled", "locked", "deleted", "trail"],
)
async def test_a_login_that_may_not_end_leaves_nothing(person: Person, service, change, status, code) -> None:
    await person.register()
    started, state = await person.start_login()
    await service.execute(change)
    late = await person.post("/v1/login/finish", person.prove(started, state))
    assert (late.status, late.body["code"]) == (status, code)
    (made,) = await service.fetch(
        "SELECT (SELECT count(*) FROM user_sessions) AS sessions, (SELECT count(*) FROM refresh_tokens) AS tokens,"
        " (SELECT count(*) FROM users WHERE last_login_at IS NOT NULL) AS seen,"
        " (SELECT count(*) FROM audit_logs WHERE action = 'auth.login.succeeded') AS told"
    )
    assert dict(made) == {"sessions": 0, "tokens": 0, "seen": 0, "told": 0}


async def test_a_disabled_account_says_so_only_to_who_knows_the_password(person: Person, service) -> None:
    registered = await person.register()
    async with service.resources.db.transaction() as repos:
        await repos.users.set_active(registered.body["user"]["id"], False)
    wrong = Person(person.http, person.url, person.username, b"wrong")
    started, _ = await wrong.start_login()
    refused = await wrong.post("/v1/login/finish", {"flow_id": started.body["flow_id"], "ke3": b64(bytes(64))})
    assert (refused.status, refused.body["code"]) == (401, "invalid_credentials")
    right = await person.login()
    assert (right.status, right.body["code"]) == (403, "account_disabled")
