"""Recovery: a token in the place of the old password, once; and nobody learns by it who is registered."""

import asyncio
import hashlib
from collections import Counter

import pytest

from cypher.auth.recovery_tokens import new_recovery_token
from cypher.operating import people
from tests.acceptance.authenticator import enrol, prove
from tests.acceptance.interruptions import (
    a_disabling,
    a_disabling_for_a_while,
    a_lock,
    a_lock_that_passed,
    all_ended,
    another_password,
)
from tests.acceptance.new_passwords import (
    NEW,
    any_record,
    any_request,
    begin_recovery,
    finish_recovery,
    id_of,
    opens,
    recover,
    start_recovery,
)
from tests.acceptance.person import Person, b64, unb64
from tests.acceptance.same_time import assert_same_time
from tests.acceptance.service import DEFAULT_LIMITS
from tests.acceptance.test_enumeration import PER_REQUEST

OLD = Person.password


@pytest.fixture
async def login(person: Person, service) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


async def issue(service, login: dict) -> str:
    return (await people(service.resources).issue_recovery(id_of(login))).recovery_token


# -- what it does -------------------------------------------------------------------------------------------


async def test_a_token_sets_a_password_and_ends_every_session(start_service, http) -> None:
    one, two = await start_service(), await start_service()
    person, elsewhere = Person(http, one.url, "alice"), Person(http, two.url, "alice")
    await person.register()
    sessions = [(await person.login()).body for _ in range(2)]
    for session in sessions:
        assert (await elsewhere.session(session["access_token"])).status == 200  # it is cached
    token = await issue(one, sessions[0])
    person.username = "ALICE"
    assert (await recover(person, token)).status == 204
    for session in sessions:
        refused = await elsewhere.session(session["access_token"])
        assert (refused.status, refused.body["code"]) == (401, "session_expired")
        assert (await elsewhere.refresh(session["refresh_token"])).body["error"] == "invalid_grant"
    assert await opens(person, NEW)
    assert not await opens(person, OLD)
    assert {"admin.recovery.issued", "credential.recovery.completed"} <= set(await one.audited_actions())


async def test_the_second_factor_is_still_asked_for(person: Person, login, service) -> None:
    app, codes = await enrol(person, login["access_token"], service.resources.clock)
    assert (await recover(person, await issue(service, login))).status == 204
    asked = await person.login()
    assert (await prove(person, asked, app.wrong_code())).status == 401
    assert (await prove(person, asked, codes[0], "recovery_code")).status == 200


async def test_only_the_hash_of_a_token_is_kept(service, person: Person, login) -> None:
    token = await issue(service, login)
    assert token.startswith("cyv_")
    assert len(unb64(token.removeprefix("cyv_"))) == 32
    [row] = await service.fetch("SELECT * FROM recovery_tokens")
    assert row["token_hash"] == hashlib.sha256(token.encode()).digest()
    assert token not in await service.dump()


async def test_people_recover_while_registration_is_closed(start_service, http) -> None:
    service = await start_service(REGISTRATION="closed")
    person = Person(http, service.url, "alice")
    invited = await people(service.resources).create("alice")
    assert (await recover(person, invited.recovery_token)).status == 204
    assert (await person.login()).body["session"]["user_id"] == str(invited.user.id)
    refused, _ = await person.start_registration()
    assert (refused.status, refused.body["code"]) == (403, "registration_closed")


# -- once, for its owner ------------------------------------------------------------------------------------


async def test_of_sixteen_uses_of_one_token_at_once_one_holds(person: Person, login, service) -> None:
    token = await issue(service, login)
    passwords = [f"password {number}".encode() for number in range(16)]
    bodies = [await begin_recovery(person, token, password) for password in passwords]
    answers = await asyncio.gather(*(finish_recovery(person, body) for body in bodies))
    assert Counter(answer.status for answer in answers) == {204: 1, 410: 15}
    won = passwords[[answer.status for answer in answers].index(204)]
    assert [password for password in passwords if await opens(person, password)] == [won]
    [row] = await service.fetch("SELECT used_at FROM recovery_tokens")
    assert row["used_at"] is not None


async def test_of_two_tokens_at_once_one_holds_and_the_other_ends(person: Person, login, service) -> None:
    tokens = [await issue(service, login) for _ in range(2)]
    bodies = [await begin_recovery(person, token) for token in tokens]
    answers = await asyncio.gather(*(finish_recovery(person, body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [204, 410]
    for token in tokens:
        assert (await recover(person, token, b"third")).status == 410


async def test_a_flow_that_redis_brings_back_recovers_nothing(person: Person, login, service) -> None:
    body = await begin_recovery(person, await issue(service, login))
    kept = await service.take_from_redis("recovery")
    await service.bring_back_to_redis(kept)
    assert (await finish_recovery(person, body)).status == 204
    await service.bring_back_to_redis(kept)
    assert (await finish_recovery(person, body)).status == 410


async def test_a_start_uses_up_nothing(person: Person, login, service) -> None:
    token = await issue(service, login)
    for _ in range(3):
        await begin_recovery(person, token)
    assert await opens(person, OLD)
    assert (await recover(person, token)).status == 204


async def test_a_token_opens_its_owners_account_only(person: Person, login, service) -> None:
    bob = Person(person.http, person.url, "bob")
    await bob.register()
    theirs = (await bob.login()).body
    mine, other = await issue(service, login), await issue(service, theirs)
    for who, token in ((person, other), (bob, mine)):
        body = await begin_recovery(who, token)
        assert (await finish_recovery(who, body)).status == 410
        assert await opens(who, OLD)
    assert (await recover(person, mine)).status == 204


async def test_a_token_dies_of_age(person: Person, login, service) -> None:
    token = await issue(service, login)
    body = await begin_recovery(person, token)
    await service.execute("UPDATE recovery_tokens SET expires_at = now()")
    assert (await finish_recovery(person, body)).status == 410
    assert (await recover(person, token)).status == 410
    assert await opens(person, OLD)


async def test_nothing_is_left_of_a_flow_after_redis_was_emptied(person: Person, login, service) -> None:
    token = await issue(service, login)
    body = await begin_recovery(person, token)
    await service.take_from_redis("*")
    assert (await finish_recovery(person, body)).status == 410
    assert (await recover(person, token)).status == 204


async def test_a_record_that_is_none_uses_up_nothing(person: Person, login, service) -> None:
    body = await begin_recovery(person, await issue(service, login))
    answer = await finish_recovery(person, body | {"registration_record": b64(bytes(192))})
    assert (answer.status, answer.body["code"]) == (400, "malformed_opaque_message")
    assert (await finish_recovery(person, body)).status == 204


# -- what changed in between --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "ends_the_token"),
    [
        (another_password, True),
        (all_ended, False),
        (a_lock, True),
        (a_lock_that_passed, True),
        (a_disabling, True),
        (a_disabling_for_a_while, True),
    ],
)
async def test_a_recovery_cannot_end_that_began_before(
    person: Person, login, service, event, ends_the_token: bool
) -> None:
    token = await issue(service, login)
    body = await begin_recovery(person, token)
    await event(person, service, login)
    answer = await finish_recovery(person, body)
    assert (answer.status, answer.body["code"]) == (410, "flow_expired")
    assert (await recover(person, token)).status == (410 if ends_the_token else 204)


@pytest.mark.parametrize(
    "state",
    ["is_active = FALSE", "locked_until = now() + INTERVAL '1 hour'", "sessions_revoked_at = clock_timestamp()"],
)
async def test_the_row_decides(person: Person, login, service, state: str) -> None:
    body = await begin_recovery(person, await issue(service, login))
    await service.execute(f"UPDATE users SET {state}")
    assert (await finish_recovery(person, body)).status == 410


# -- what nobody learns -------------------------------------------------------------------------------------


async def test_every_start_and_every_refusal_looks_the_same(person: Person, login, service) -> None:
    bob = Person(person.http, person.url, "bob")
    await bob.register()
    of_bob = await issue(service, (await bob.login()).body)
    used = await issue(service, login)
    assert (await recover(person, used)).status == 204
    good = await issue(service, login)
    cases = {
        "good": ("alice", good),
        "another's": ("alice", of_bob),
        "used": ("alice", used),
        "unknown token": ("alice", new_recovery_token()),
        "unknown name": ("nobody-has-this-name", good),
        "nothing right": ("nobody-has-this-name", new_recovery_token()),
        "no token": ("alice", ""),
        "long": ("alice", "x" * 10_000),
    }
    shapes, refusals = set(), set()
    for name, (username, token) in cases.items():
        started, _ = await start_recovery(person, token, username=username)
        headers = {k: v for k, v in started.headers.items() if k.lower() not in PER_REQUEST}
        shapes.add((started.status, str(sorted((k, len(str(v))) for k, v in started.body.items())), str(headers)))
        if name != "good":
            body = {"flow_id": started.body["flow_id"], "registration_record": any_record()}
            answer = await finish_recovery(person, body)
            body_of = {k: v for k, v in answer.body.items() if k != "request_id"}
            refusals.add((answer.status, str(body_of)))
    assert len(shapes) == 1
    assert {status for status, _ in refusals} == {410}
    assert len(refusals) == 1
    unknown_flow = await finish_recovery(person, {"flow_id": "x" * 43, "registration_record": any_record()})
    assert {k: v for k, v in unknown_flow.body.items() if k != "request_id"} == {
        k: v for k, v in answer.body.items() if k != "request_id"
    }


async def test_a_start_is_no_oracle_for_the_password(person: Person, login, service) -> None:
    token = await issue(service, login)
    sent = {"username": "alice", "recovery_token": token, "registration_request": any_request()}
    answers = [await person.post("/v1/recovery/start", sent) for _ in range(3)]
    assert len({unb64(answer.body["registration_response"])[:32] for answer in answers}) == 3


async def test_asking_for_a_token_is_answered_202_for_every_name(person: Person, login, service) -> None:
    seen = set()
    for name in ("alice", "ALICE", "nobody-has-this-name"):
        answer = await person.post("/v1/recovery/request", {"username": name})
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in PER_REQUEST}
        seen.add((answer.status, answer.body, str(headers)))
    assert [(status, body) for status, body, _ in seen] == [(202, b"")]
    # Without a webhook nothing is made, and an operator finds who has asked.
    assert await service.fetch("SELECT 1 FROM recovery_tokens") == []
    asked = await service.audit("credential.recovery.requested")
    assert [entry["user_id"] for entry in asked] == [None] * 3
    assert asked[0]["subject_index"] == asked[1]["subject_index"] != asked[2]["subject_index"]


@pytest.mark.parametrize("path", ["/v1/recovery/request", "/v1/recovery/start"])
async def test_known_and_unknown_names_take_the_same_time(person: Person, login, service, path: str) -> None:
    await issue(service, login)
    rest = {"recovery_token": new_recovery_token(), "registration_request": any_request()}
    await assert_same_time(person, path, {"username": "alice", **rest}, {"username": "boris", **rest})


# -- limits -------------------------------------------------------------------------------------------------


async def test_a_name_and_an_address_can_be_asked_for_five_times_an_hour(start_service, http) -> None:
    service = await start_service(**DEFAULT_LIMITS, TRUSTED_PROXIES="127.0.0.0/8")
    person = Person(http, service.url, "alice")

    async def ask(name: str, address: str) -> tuple[int, str]:
        answer = await person.ask(
            "POST", "/v1/recovery/request", json={"username": name}, headers={"X-Forwarded-For": address}
        )
        return answer.status, answer.headers.get("RateLimit-Policy", "")

    policy = '"recovery";q=5;w=3600'
    by_name = [await ask("alice", f"192.0.2.{number}") for number in range(6)]
    assert by_name == [(202, "")] * 5 + [(429, policy)]
    assert (await ask("nobody-has-this-name", "192.0.2.7"))[0] == 202
    by_address = [await ask(f"name-{number}", "192.0.2.99") for number in range(6)]
    assert by_address == [(202, "")] * 5 + [(429, policy)]
    refused = await service.audit("abuse.rate_limit.exceeded")
    assert [entry["reason"] for entry in refused] == ["recovery-name", "recovery-address"]
