"""What a stolen session must not do asks for a fresh proof, and gives it on the same session."""

import asyncio
from collections import Counter
from datetime import datetime

import jwt
import pytest

from cypher.web.routes import ROUTES, Needs, Route
from tests.acceptance.authenticator import (
    HandClock,
    enrol,
    proof_of,
    prove,
    reauthenticate,
    start_reauthentication,
)
from tests.acceptance.new_passwords import any_record, any_request
from tests.acceptance.person import Answer, Person, b64

#: What a route reads before anything is decided.
BODIES = {
    ("POST", "/v1/password/start"): {"registration_request": any_request()},
    ("POST", "/v1/password/finish"): {"flow_id": "x", "registration_record": any_record()},
    ("PATCH", "/v1/account"): {"username": "another-name"},
}
STALE = "UPDATE user_sessions SET authenticated_at = authenticated_at - INTERVAL '10 minutes'"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def service(start_service, clock):
    return await start_service(clock)


@pytest.fixture
async def login(person: Person, service) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


async def is_fresh(person: Person, access_token: str) -> bool:
    """Ask a route that needs a fresh proof and changes nothing where no factor is enrolled."""
    answer = await person.bearing("DELETE", "/v1/factors/totp", access_token)
    assert (answer.status, answer.body and answer.body["code"]) in ((204, b""), (403, "reauthentication_required"))
    return answer.status == 204


async def ask(person: Person, access_token: str, route: Route) -> Answer:
    return await person.bearing(route.method, route.path, access_token, json=BODIES.get((route.method, route.path)))


async def finish(person: Person, access_token: str, proof: dict[str, str]) -> Answer:
    return await person.bearing("POST", "/v1/reauthentication/finish", access_token, json=proof)


# -- what is fresh ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.needs is Needs.FRESH], ids=lambda route: f"{route.method} {route.path}"
)
async def test_every_route_that_needs_a_fresh_proof_refuses_an_old_one(person: Person, login, service, route) -> None:
    await service.execute(STALE)
    refused = await ask(person, login["access_token"], route)
    assert (refused.status, refused.body["code"]) == (403, "reauthentication_required")
    renewed = await reauthenticate(person, login["access_token"])
    assert renewed.status == 200
    again = await ask(person, login["access_token"], route)
    assert again.status != 403


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.needs is Needs.FRESH], ids=lambda route: f"{route.method} {route.path}"
)
async def test_with_a_factor_a_fresh_password_alone_is_refused(person: Person, login, clock, route) -> None:
    app, _ = await enrol(person, login["access_token"], clock)
    # The code that confirmed shows that the app was set up, not who holds this session.
    session = (await person.session(login["access_token"])).body
    assert (session["aal"], session["amr"]) == (1, ["opaque"])
    refused = await ask(person, login["access_token"], route)
    assert (refused.status, refused.body["code"]) == (403, "reauthentication_required")
    asked = await reauthenticate(person, login["access_token"])
    assert (await prove(person, asked, app.code(1))).status == 200
    assert (await ask(person, login["access_token"], route)).status != 403


async def test_the_time_of_a_proof_can_be_set(start_service, http, clock) -> None:
    service = await start_service(clock, REAUTHENTICATION_SECONDS="30")
    person = Person(http, service.url, "alice")
    await person.register()
    token = (await person.login()).body["access_token"]
    assert await is_fresh(person, token)
    await service.execute("UPDATE user_sessions SET authenticated_at = authenticated_at - INTERVAL '31 seconds'")
    assert not await is_fresh(person, token)


async def test_a_session_that_has_ended_is_not_fresh(person: Person, login, service) -> None:
    await service.execute("UPDATE user_sessions SET revoked_at = now(), revoked_reason = 'test'")
    # The cache still knows it: PostgreSQL is asked all the same.
    assert (await person.session(login["access_token"])).status == 200
    refused = await person.bearing("POST", "/v1/factors/totp", login["access_token"])
    assert (refused.status, refused.body["code"]) == (401, "session_expired")


# -- the same session ---------------------------------------------------------------------------------------


async def test_a_proof_renews_the_same_session_everywhere_at_once(start_service, http, clock) -> None:
    one, two = await start_service(clock), await start_service(clock)
    person = Person(http, one.url, "alice")
    await person.register()
    login = (await person.login()).body
    elsewhere = Person(http, two.url, "alice")
    before = (await elsewhere.session(login["access_token"])).body
    renewed = await reauthenticate(person, login["access_token"])
    assert renewed.status == 200
    assert set(renewed.body) == {"session", "access_token", "token_type", "expires_in"}
    session = renewed.body["session"]
    assert datetime.fromisoformat(session["authenticated_at"]) > datetime.fromisoformat(before["authenticated_at"])
    unchanged = {name for name in session if session[name] == before[name]}
    assert unchanged >= set(session) - {"authenticated_at", "idle_expires_at"}
    for token in (login["access_token"], renewed.body["access_token"]):
        seen = (await elsewhere.session(token)).body
        assert seen["authenticated_at"] == session["authenticated_at"]
    assert (await person.refresh(login["refresh_token"])).status == 200
    assert {"auth.reauthentication.attempted", "auth.reauthentication.succeeded"} <= set(await one.audited_actions())


async def test_a_second_factor_raises_the_session_and_its_tokens(person: Person, login, clock) -> None:
    app, codes = await enrol(person, login["access_token"], clock)
    for code, method in ((app.code(1), "totp"), (codes[0], "recovery_code")):
        asked = await reauthenticate(person, login["access_token"])
        renewed = await prove(person, asked, code, method)
        assert set(renewed.body) == {"session", "access_token", "token_type", "expires_in"}
        session = renewed.body["session"]
        assert (session["id"], session["aal"], session["amr"]) == (login["session"]["id"], 2, ["opaque", method])
        claims = jwt.decode(renewed.body["access_token"], options={"verify_signature": False})
        assert (claims["sid"], claims["aal"], claims["amr"]) == (session["id"], 2, ["opaque", method])
        seen = (await person.session(login["access_token"])).body
        assert seen | {"idle_expires_at": None} == session | {"idle_expires_at": None}
    refreshed = await person.refresh(login["refresh_token"])
    claims = jwt.decode(refreshed.body["access_token"], options={"verify_signature": False})
    assert (claims["aal"], claims["amr"]) == (2, ["opaque", "recovery_code"])


async def test_without_the_factor_a_proof_says_no_more_than_the_password(person: Person, login, clock) -> None:
    app, _ = await enrol(person, login["access_token"], clock)
    raised = (await prove(person, await person.login(), app.code(1))).body
    assert (await person.bearing("DELETE", "/v1/factors/totp", raised["access_token"])).status == 204
    assert (await person.session(raised["access_token"])).body["aal"] == 2
    renewed = await reauthenticate(person, raised["access_token"])
    assert (renewed.body["session"]["aal"], renewed.body["session"]["amr"]) == (1, ["opaque"])


async def test_a_wrong_password_renews_nothing(person: Person, login, service) -> None:
    await service.execute(STALE)
    started, _ = await start_reauthentication(person, login["access_token"])
    wrong = {"flow_id": started.body["flow_id"], "ke3": b64(bytes(64))}
    refused = await finish(person, login["access_token"], wrong)
    assert (refused.status, refused.body["code"]) == (401, "invalid_credentials")
    assert (await finish(person, login["access_token"], wrong)).status == 410
    assert not await is_fresh(person, login["access_token"])
    assert "auth.reauthentication.failed" in await service.audited_actions()


async def test_the_answer_is_evaluated_under_the_persons_own_record(person: Person, login) -> None:
    mallory = Person(person.http, person.url, "mallory", b"another password")
    await mallory.register()
    theirs = (await mallory.login()).body
    # Mallory's session and Alice's password do not go together.
    started, state = await start_reauthentication(person, theirs["access_token"])
    with pytest.raises(ValueError, match=r".*"):
        proof_of(person, started, state)


async def test_a_flow_belongs_to_its_session(person: Person, login) -> None:
    other = (await person.login()).body
    started, state = await start_reauthentication(person, login["access_token"])
    proof = proof_of(person, started, state)
    answer = await finish(person, other["access_token"], proof)
    assert (answer.status, answer.body["code"]) == (410, "flow_expired")
    for body in (proof, {**proof, "flow_id": (await person.start_login())[0].body["flow_id"]}):
        assert (await finish(person, login["access_token"], body)).status == 410
    started, state = await start_reauthentication(person, login["access_token"])
    assert (await person.post("/v1/login/finish", proof_of(person, started, state))).status == 410


async def test_no_start_or_finish_without_a_session(person: Person, login) -> None:
    for path, body in (("start", {"ke1": b64(bytes(96))}), ("finish", {"flow_id": "x", "ke3": b64(bytes(64))})):
        answer = await person.post(f"/v1/reauthentication/{path}", body)
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated")


# -- once ---------------------------------------------------------------------------------------------------


async def test_a_flow_that_redis_brings_back_renews_nothing(person: Person, login, service) -> None:
    started, state = await start_reauthentication(person, login["access_token"])
    kept = await service.take_from_redis("reauthentication")
    await service.bring_back_to_redis(kept)
    proof = proof_of(person, started, state)
    assert (await finish(person, login["access_token"], proof)).status == 200
    assert (await finish(person, login["access_token"], proof)).status == 410
    await service.execute(STALE)
    await service.bring_back_to_redis(kept)
    assert (await finish(person, login["access_token"], proof)).status == 410
    assert not await is_fresh(person, login["access_token"])


async def test_a_token_that_redis_brings_back_renews_nothing(person: Person, login, clock, service) -> None:
    app, codes = await enrol(person, login["access_token"], clock)
    asked = await reauthenticate(person, login["access_token"])
    kept = await service.take_from_redis("mfa")
    await service.bring_back_to_redis(kept)
    assert (await prove(person, asked, app.code(1))).status == 200
    await service.bring_back_to_redis(kept)
    assert (await prove(person, asked, codes[0], "recovery_code")).status == 410


async def test_of_eight_finishes_of_one_flow_at_once_one_succeeds(person: Person, login) -> None:
    started, state = await start_reauthentication(person, login["access_token"])
    proof = proof_of(person, started, state)
    answers = await asyncio.gather(*(finish(person, login["access_token"], proof) for _ in range(8)))
    assert Counter(answer.status for answer in answers) == {200: 1, 410: 7}


async def test_of_two_proofs_of_one_session_the_first_to_end_counts(person: Person, login) -> None:
    flows = [await start_reauthentication(person, login["access_token"]) for _ in range(2)]
    first, second = [proof_of(person, started, state) for started, state in flows]
    assert (await finish(person, login["access_token"], second)).status == 200
    assert (await finish(person, login["access_token"], first)).status == 410


# -- what changed in between --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ("UPDATE users SET opaque_credential_id = '\\x00112233445566778899aabbccddeeff'", 410, "flow_expired"),
        ("UPDATE users SET sessions_revoked_at = now()", 410, "flow_expired"),
        ("UPDATE user_sessions SET revoked_at = now(), revoked_reason = 'test'", 410, "flow_expired"),
        ("UPDATE users SET is_active = FALSE", 403, "account_disabled"),
        ("UPDATE users SET locked_until = now() + INTERVAL '1 hour'", 403, "account_locked"),
    ],
    ids=["password", "sessions", "session", "disabled", "locked"],
)
@pytest.mark.parametrize("with_factor", [False, True])
async def test_a_proof_cannot_end_that_began_before_a_change(
    person: Person, login, clock, service, change: str, status: int, code: str, with_factor: bool
) -> None:
    token = login["access_token"]
    if with_factor:
        app, _ = await enrol(person, token, clock)
        asked = await reauthenticate(person, token)
    else:
        started, state = await start_reauthentication(person, token)
    assert (await person.session(token)).status == 200  # it is cached
    before = await service.fetch("SELECT authenticated_at FROM user_sessions")
    await service.execute(change)
    if with_factor:
        answer = await prove(person, asked, app.code(1))
    else:
        answer = await finish(person, token, proof_of(person, started, state))
    assert (answer.status, answer.body["code"]) == (status, code)
    assert await service.fetch("SELECT authenticated_at FROM user_sessions") == before


async def test_a_factor_that_is_enrolled_meanwhile_is_asked_for(person: Person, login, clock) -> None:
    started, state = await start_reauthentication(person, login["access_token"])
    login_started, login_state = await person.start_login()
    await enrol(person, login["access_token"], clock)
    answer = await finish(person, login["access_token"], proof_of(person, started, state))
    assert answer.body["status"] == "mfa_required"
    late = await person.post("/v1/login/finish", person.prove(login_started, login_state))
    assert late.body["status"] == "mfa_required"
