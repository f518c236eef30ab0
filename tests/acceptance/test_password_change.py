"""Another password: set by whoever has proven the old one lately, once; the end of what the old one stood behind."""

import asyncio
from collections import Counter

import pytest

from cypher.errors import RedisUnavailable
from cypher.operating import people
from tests.acceptance.authenticator import enrol, proof_of, prove, reauthenticate, start_reauthentication
from tests.acceptance.interruptions import (
    a_disabling,
    a_lock,
    a_lock_that_passed,
    a_recovery,
    another_password,
    others_ended,
)
from tests.acceptance.new_passwords import (
    NEW,
    any_record,
    any_request,
    begin_change,
    change,
    finish_change,
    id_of,
    opens,
    start_change,
)
from tests.acceptance.person import Person, b64, unb64

OLD = Person.password


@pytest.fixture
async def login(person: Person, service) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


# -- what it does -------------------------------------------------------------------------------------------


async def test_the_new_password_opens_the_account_and_the_old_one_does_not(person: Person, login, service) -> None:
    before = (await service.fetch("SELECT * FROM users"))[0]
    assert (await change(person, login["access_token"])).status == 204
    assert await opens(person, NEW)
    assert not await opens(person, OLD)
    after = (await service.fetch("SELECT * FROM users"))[0]
    assert after["opaque_credential_id"] != before["opaque_credential_id"]
    assert after["password_changed_at"] > before["password_changed_at"]
    assert after["sessions_revoked_at"] == before["sessions_revoked_at"]
    assert "credential.password.changed" in await service.audited_actions()


async def test_it_ends_the_other_sessions_at_once_and_this_one_goes_on(start_service, http) -> None:
    one, two = await start_service(), await start_service()
    person, elsewhere = Person(http, one.url, "alice"), Person(http, two.url, "alice")
    await person.register()
    mine, other = (await person.login()).body, (await person.login()).body
    assert (await elsewhere.session(other["access_token"])).status == 200  # it is cached
    assert (await change(person, mine["access_token"])).status == 204
    refused = await elsewhere.session(other["access_token"])
    assert (refused.status, refused.body["code"]) == (401, "session_expired")
    assert (await elsewhere.refresh(other["refresh_token"])).body["error"] == "invalid_grant"
    assert (await elsewhere.session(mine["access_token"])).status == 200
    assert (await elsewhere.refresh(mine["refresh_token"])).status == 200
    reasons = await one.fetch("SELECT revoked_reason FROM user_sessions WHERE revoked_at IS NOT NULL")
    assert [row["revoked_reason"] for row in reasons] == ["password_changed"]


async def test_other_sessions_go_on_when_that_is_asked_for(person: Person, login) -> None:
    other = (await person.login()).body
    assert (await change(person, login["access_token"], revoke_other_sessions=False)).status == 204
    assert (await person.session(other["access_token"])).status == 200
    assert (await person.refresh(other["refresh_token"])).status == 200
    assert await opens(person, NEW)


async def test_sessions_of_other_people_go_on(person: Person, login) -> None:
    bob = Person(person.http, person.url, "bob")
    await bob.register()
    theirs = (await bob.login()).body
    assert (await change(person, login["access_token"])).status == 204
    assert (await bob.session(theirs["access_token"])).status == 200
    assert await opens(bob, OLD)


async def test_the_second_factor_stays(person: Person, login, service) -> None:
    _, codes = await enrol(person, login["access_token"], service.resources.clock)
    asked = await reauthenticate(person, login["access_token"])
    proven = (await prove(person, asked, codes[0], "recovery_code")).body
    assert (await change(person, proven["access_token"])).status == 204
    assert (await person.login()).body["status"] == "mfa_required"


async def test_a_new_setup_serves_changed_passwords(person: Person, login, service, run_cli) -> None:
    [before] = await service.fetch("SELECT opaque_setup_id FROM users")
    assert (await run_cli(service, "keys", "rotate", "--purpose", "opaque")).returncode == 0
    await asyncio.to_thread(service.resources.ring.reload)
    assert await opens(person, OLD)
    assert (await change(person, login["access_token"])).status == 204
    [after] = await service.fetch("SELECT opaque_setup_id FROM users")
    assert before != after
    assert await opens(person, NEW)


async def test_outstanding_recovery_tokens_end(person: Person, login, service) -> None:
    token = await people(service.resources).issue_recovery(id_of(login))
    assert (await change(person, login["access_token"])).status == 204
    begun = await service.services.recovery.start(person.username, token.recovery_token, unb64(any_request()))
    answer = await person.post("/v1/recovery/finish", {"flow_id": begun.flow_id, "registration_record": any_record()})
    assert (answer.status, answer.body["code"]) == (410, "flow_expired")
    assert await opens(person, NEW)


# -- no oracle ----------------------------------------------------------------------------------------------


async def test_a_start_never_evaluates_under_the_stored_credential(person: Person, login) -> None:
    sent = {"registration_request": any_request()}
    answers = [await person.bearing("POST", "/v1/password/start", login["access_token"], json=sent) for _ in range(3)]
    evaluated = {unb64(answer.body["registration_response"])[:32] for answer in answers}
    assert len(evaluated) == 3


async def test_a_start_changes_nothing(person: Person, login, service) -> None:
    before = await service.fetch("SELECT * FROM users")
    started, _ = await start_change(person, login["access_token"])
    assert set(started.body) == {"flow_id", "registration_response", "expires_in"}
    assert await service.fetch("SELECT * FROM users") == before
    assert await opens(person, OLD)


# -- once, and only of this session -------------------------------------------------------------------------


async def test_a_flow_works_once(person: Person, login, service) -> None:
    body = await begin_change(person, login["access_token"])
    kept = await service.take_from_redis("password")
    await service.bring_back_to_redis(kept)
    assert (await finish_change(person, login["access_token"], body)).status == 204
    again = await finish_change(person, login["access_token"], body)
    assert (again.status, again.body["code"]) == (410, "flow_expired")
    # After a failover Redis may have it again; the credential that it began with is gone.
    await service.bring_back_to_redis(kept)
    assert (await finish_change(person, login["access_token"], body)).status == 410
    assert await opens(person, NEW)


async def test_a_flow_belongs_to_its_session(person: Person, login) -> None:
    other = (await person.login()).body
    mallory = Person(person.http, person.url, "mallory")
    await mallory.register()
    theirs = (await mallory.login()).body
    for token in (other["access_token"], theirs["access_token"]):
        body = await begin_change(person, login["access_token"])
        answer = await finish_change(person, token, body)
        assert (answer.status, answer.body["code"]) == (410, "flow_expired")
    assert await opens(person, OLD)
    assert await opens(mallory, OLD)


async def test_flows_of_other_kinds_do_not_fit(person: Person, login, service) -> None:
    registration, _ = await person.start_registration()
    recovery = await service.services.recovery.start("alice", "cyv_x", unb64(any_request()))
    for flow_id in (registration.body["flow_id"], recovery.flow_id, "x" * 43, ""):
        body = {"flow_id": flow_id, "registration_record": any_record()}
        assert (await finish_change(person, login["access_token"], body)).status == 410
    body = await begin_change(person, login["access_token"])
    for path in ("/v1/registration/finish", "/v1/recovery/finish"):
        assert (await person.post(path, body)).status == 410


async def test_nothing_is_left_of_a_flow_after_redis_was_emptied(person: Person, login, service) -> None:
    body = await begin_change(person, login["access_token"])
    await service.take_from_redis("*")
    assert (await finish_change(person, login["access_token"], body)).status == 410
    assert await opens(person, OLD)


async def test_a_record_that_is_none_uses_up_nothing(person: Person, login) -> None:
    body = await begin_change(person, login["access_token"])
    for wrong in (b64(bytes(192)), b64(bytes(191)), ""):
        answer = await finish_change(person, login["access_token"], body | {"registration_record": wrong})
        assert (answer.status, answer.body["code"]) == (400, "malformed_opaque_message")
    assert (await finish_change(person, login["access_token"], body)).status == 204


async def test_a_proof_that_grew_old_uses_up_nothing_and_changes_nothing(person: Person, login, service) -> None:
    body = await begin_change(person, login["access_token"])
    await service.execute("UPDATE user_sessions SET authenticated_at = authenticated_at - INTERVAL '10 minutes'")
    refused = await finish_change(person, login["access_token"], body)
    assert (refused.status, refused.body["code"]) == (403, "reauthentication_required")
    assert await opens(person, OLD)
    assert (await reauthenticate(person, login["access_token"])).status == 200
    assert (await finish_change(person, login["access_token"], body)).status == 204


# -- what changed in between --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (another_password, 410),
        (others_ended, 410),
        (a_lock, 401),
        (a_lock_that_passed, 401),
        (a_disabling, 401),
        (a_recovery, 401),
    ],
)
async def test_a_change_cannot_end_that_began_before(person: Person, login, service, event, status: int) -> None:
    body = await begin_change(person, login["access_token"])
    await event(person, service, login)
    before = await service.fetch("SELECT opaque_credential_id FROM users")
    assert (await finish_change(person, login["access_token"], body)).status == status
    assert await service.fetch("SELECT opaque_credential_id FROM users") == before


@pytest.mark.parametrize(
    "change_by_hand",
    [
        "UPDATE users SET locked_until = now() + INTERVAL '1 hour'",
        "UPDATE users SET sessions_revoked_at = clock_timestamp()",
        "UPDATE users SET opaque_credential_id = '\\x00112233445566778899aabbccddeeff'",
    ],
)
async def test_the_row_decides_and_not_the_session(person: Person, login, service, change_by_hand: str) -> None:
    body = await begin_change(person, login["access_token"])
    await service.execute(change_by_hand)
    assert (await finish_change(person, login["access_token"], body)).status == 410


@pytest.mark.parametrize("with_factor", [False, True])
async def test_no_login_can_end_that_began_with_the_old_password(
    person: Person, login, service, with_factor: bool
) -> None:
    token = login["access_token"]
    if with_factor:
        _, codes = await enrol(person, token, service.resources.clock)
        asked = await reauthenticate(person, token)
        token = (await prove(person, asked, codes[0], "recovery_code")).body["access_token"]
        half_login = await person.login()
        half_proof = await reauthenticate(person, token)
    begun_login, login_state = await person.start_login()
    login_proof = person.prove(begun_login, login_state)
    begun_proof, proof_state = await start_reauthentication(person, token)
    reauthentication_proof = proof_of(person, begun_proof, proof_state)
    assert (await change(person, token, revoke_other_sessions=False)).status == 204
    assert (await person.post("/v1/login/finish", login_proof)).status == 410
    path = "/v1/reauthentication/finish"
    assert (await person.bearing("POST", path, token, json=reauthentication_proof)).status == 410
    if with_factor:
        for asked in (half_login, half_proof):
            assert (await prove(person, asked, codes[1], "recovery_code")).status == 410


# -- races --------------------------------------------------------------------------------------------------


async def test_of_two_changes_at_once_one_holds(person: Person, login, service) -> None:
    other = (await person.login()).body
    for round_ in range(5):
        passwords = [f"{round_}-one".encode(), f"{round_}-two".encode()]
        tokens = [login["access_token"], other["access_token"]]
        bodies = [
            await begin_change(person, token, password) for token, password in zip(tokens, passwords, strict=True)
        ]
        answers = await asyncio.gather(
            *(
                finish_change(person, token, body | {"revoke_other_sessions": False})
                for token, body in zip(tokens, bodies, strict=True)
            )
        )
        assert sorted(answer.status for answer in answers) == [204, 410]
        won = passwords[[answer.status for answer in answers].index(204)]
        assert [password for password in passwords if await opens(person, password)] == [won]


async def test_of_sixteen_finishes_of_one_flow_at_once_one_holds(person: Person, login) -> None:
    body = await begin_change(person, login["access_token"])
    answers = await asyncio.gather(*(finish_change(person, login["access_token"], body) for _ in range(16)))
    assert Counter(answer.status for answer in answers) == {204: 1, 410: 15}


async def test_a_login_that_races_a_change_never_leaves_a_session_of_the_old_password(
    person: Person, login, service
) -> None:
    for round_ in range(8):
        begun, state = await person.start_login()
        proof = person.prove(begun, state)
        new = f"password {round_}".encode()
        body = await begin_change(person, login["access_token"], new)
        raced, changed = await asyncio.gather(
            person.post("/v1/login/finish", proof), finish_change(person, login["access_token"], body)
        )
        assert changed.status == 204
        assert raced.status in (200, 410)
        if raced.status == 200:  # it came first, and was ended with the other sessions
            assert (await person.session(raced.body["access_token"])).status == 401
        person.password = new
    living = await service.fetch("SELECT session_id FROM user_sessions WHERE revoked_at IS NULL")
    assert [str(row["session_id"]) for row in living] == [login["session"]["id"]]


async def test_a_refresh_that_races_a_change_dies_with_its_session(person: Person, login, service) -> None:
    for round_ in range(8):
        other = (await person.login()).body
        new = f"password {round_}".encode()
        body = await begin_change(person, login["access_token"], new)
        refreshed, changed = await asyncio.gather(
            person.refresh(other["refresh_token"]), finish_change(person, login["access_token"], body)
        )
        assert changed.status == 204
        person.password = new
        if refreshed.status == 200:
            assert (await person.refresh(refreshed.body["refresh_token"])).status == 400
            assert (await person.session(refreshed.body["access_token"])).status == 401


async def test_without_redis_for_the_tombstones_the_change_stands_and_is_not_said_to_be_done(
    person: Person, login, service, monkeypatch
) -> None:
    other = (await person.login()).body
    body = await begin_change(person, login["access_token"])

    async def away(*arguments: object, **options: object) -> None:
        raise RedisUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(type(service.resources.redis), "set_each", away)
        answer = await finish_change(person, login["access_token"], body)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert await opens(person, NEW)
    # Asked again by the route that ends the others, it is completed.
    assert (await person.bearing("DELETE", "/v1/sessions?scope=others", login["access_token"])).status == 200
    assert (await person.session(other["access_token"])).status == 401
