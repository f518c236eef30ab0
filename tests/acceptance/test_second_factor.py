"""The second factor at a login: asked for after the password, and nothing gets in without it."""

import asyncio
import logging
import re
from collections import Counter

import jwt
import pytest

from cypher.clock import SystemClock
from cypher.errors import RedisUnavailable
from tests.acceptance.authenticator import HandClock, begin_enrolment, confirm, enrol, prove
from tests.acceptance.person import Person, b64

UNLIMITED = {"TOTP_FAILURES_SHORT": "off", "TOTP_FAILURES_DAY": "off"}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def service(start_service, clock):
    return await start_service(clock)


async def register_and_login(person: Person) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


async def sessions_of(service) -> int:
    return (await service.fetch("SELECT count(*) FROM user_sessions"))[0]["count"]


# -- the way in ---------------------------------------------------------------------------------------------


async def test_a_person_enrols_confirms_logs_in_with_a_code_and_removes_the_factor(person: Person, clock) -> None:
    first = await register_and_login(person)
    assert (await person.bearing("GET", "/v1/factors", first["access_token"])).body == {
        "totp": {"enabled": False},
        "recovery_codes": {"remaining": 0},
    }
    app, codes = await enrol(person, first["access_token"], clock)
    assert len(set(codes)) == 10
    assert (await person.bearing("GET", "/v1/factors", first["access_token"])).body == {
        "totp": {"enabled": True},
        "recovery_codes": {"remaining": 10},
    }

    asked = await person.login()
    assert asked.status == 200
    assert asked.body == {
        "status": "mfa_required",
        "mfa_token": asked.body["mfa_token"],
        "factors": ["totp", "recovery_code"],
        "expires_in": 300,
    }
    done = await prove(person, asked, app.code(1))
    assert (done.status, done.body["status"]) == (200, "authenticated")
    assert (done.body["session"]["aal"], done.body["session"]["amr"]) == (2, ["opaque", "totp"])
    claims = jwt.decode(done.body["access_token"], options={"verify_signature": False})
    assert (claims["aal"], claims["amr"]) == (2, ["opaque", "totp"])
    assert (await person.session(done.body["access_token"])).body == done.body["session"]
    refreshed = await person.refresh(done.body["refresh_token"])
    claims = jwt.decode(refreshed.body["access_token"], options={"verify_signature": False})
    assert (claims["aal"], claims["amr"]) == (2, ["opaque", "totp"])

    assert (await person.bearing("DELETE", "/v1/factors/totp", done.body["access_token"])).status == 204
    assert (await person.login()).body["status"] == "authenticated"


async def test_what_is_shown_at_enrolment_is_one_secret_in_three_forms(person: Person) -> None:
    login = await register_and_login(person)
    shown = (await person.bearing("POST", "/v1/factors/totp", login["access_token"])).body
    assert set(shown) == {"secret", "otpauth_uri", "qr_svg"}
    assert shown["otpauth_uri"] == f"otpauth://totp/127.0.0.1:alice?secret={shown['secret']}&issuer=127.0.0.1"
    assert shown["qr_svg"].startswith("<svg xmlns=")


async def test_a_token_for_the_second_step_opens_nothing_else(person: Person, clock) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    token = asked.body["mfa_token"]
    for path in ("/v1/session", "/v1/sessions", "/v1/factors"):
        assert (await person.bearing("GET", path, token)).status == 401
    ke3 = b64(bytes(64))
    assert (await person.post("/v1/login/finish", {"flow_id": token, "ke3": ke3})).status == 410
    again = {"flow_id": token, "ke3": ke3}
    bearer = login["access_token"]
    assert (await person.bearing("POST", "/v1/reauthentication/finish", bearer, json=again)).status == 410
    assert (await person.refresh(token)).status == 400
    started, _ = await person.start_login()
    other = {"mfa_token": started.body["flow_id"], "method": "totp", "code": app.code(1)}
    assert (await person.post("/v1/login/mfa", other)).status == 410
    assert (await prove(person, asked, app.code(1))).status == 200


async def test_an_enrolment_that_was_never_confirmed_asks_for_nothing_and_is_replaced(person: Person, clock) -> None:
    login = await register_and_login(person)
    token = login["access_token"]
    forgotten = await begin_enrolment(person, token, clock)
    assert (await person.login()).body["status"] == "authenticated"
    app = await begin_enrolment(person, token, clock)
    refused = await confirm(person, token, forgotten.code())
    assert (refused.status, refused.body["code"]) == (401, "mfa_failed")
    assert (await confirm(person, token, app.code())).status == 200


async def test_an_enrolment_is_confirmed_once_and_not_begun_anew(person: Person, clock) -> None:
    login = await register_and_login(person)
    token = login["access_token"]
    missing = await confirm(person, token, "123456")
    assert (missing.status, missing.body["code"]) == (410, "flow_expired")
    app = await begin_enrolment(person, token, clock)
    answers = await asyncio.gather(*(confirm(person, token, app.code()) for _ in range(6)))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 5}
    assert {answer.body["code"] for answer in answers if answer.status == 409} == {"factor_exists"}


async def test_an_enrolled_factor_is_not_replaced_unasked(person: Person, clock) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    done = (await prove(person, await person.login(), app.code(1))).body
    refused = await person.bearing("POST", "/v1/factors/totp", done["access_token"])
    assert (refused.status, refused.body["code"]) == (409, "factor_exists")
    clock.next_step()
    assert (await prove(person, await person.login(), app.code(1))).status == 200


async def test_who_has_a_factor_shows_only_after_the_right_password(person: Person, clock) -> None:
    login = await register_and_login(person)
    await enrol(person, login["access_token"], clock)
    without = Person(person.http, person.url, "bobby")
    await without.register()
    shapes = []
    for each in (person, without):
        started, _ = await each.start_login()
        wrong = {"flow_id": started.body["flow_id"], "ke3": b64(bytes(64))}
        finished = await each.post("/v1/login/finish", wrong)
        problem = {name: value for name, value in finished.body.items() if name != "request_id"}
        shapes.append((started.status, {name: len(str(value)) for name, value in started.body.items()}, problem))
    assert shapes[0] == shapes[1]
    assert shapes[0][2]["code"] == "invalid_credentials"


# -- a code once --------------------------------------------------------------------------------------------


async def test_a_used_code_never_works_again_however_it_is_written(start_service, http, clock) -> None:
    service = await start_service(clock, **UNLIMITED)
    person = Person(http, service.url, "alice")
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    used = app.code(1)
    assert (await prove(person, await person.login(), used)).status == 200
    asked = await person.login()
    full_width = used.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    arabic = used.translate({ord("0") + digit: 0x0660 + digit for digit in range(10)})
    spelled = [
        *(used, f" {used}", f"{used} ", f"{used[:3]} {used[3:]}", f"{used}\n", f"\t{used}", f"0{used}", f"+{used}"),
        *(full_width, arabic, used[:5] + full_width[5], f"{used}\u200b", f"{used[:3]}-{used[3:]}", f"{used}\x00"),
        *("", used * 9000, app.code(), app.code(-1)),
    ]
    for code in spelled:
        answer = await prove(person, asked, code)
        assert (answer.status, answer.body["code"]) == (401, "mfa_failed"), code
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for value in (int(used), float(used), [used], {"code": used}, None, True):
        answer = await prove(person, asked, value)
        assert (answer.status, answer.body["code"]) == (422, "validation_failed"), value
    broken = '{"mfa_token": "x", "method": "totp", "code": "\\ud800"}'
    answer = await person.ask("POST", "/v1/login/mfa", data=broken, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert (await prove(person, asked, used, "recovery_code")).status == 401
    assert (await prove(person, asked, used, "sms")).status == 422
    clock.next_step()
    assert (await prove(person, asked, app.code(1))).status == 200


async def test_the_code_that_confirmed_does_not_log_in(person: Person, clock) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    for ahead in (0, -1):
        assert (await prove(person, asked, app.code(ahead))).status == 401
    assert (await prove(person, asked, app.code(1))).status == 200


async def test_of_32_uses_of_one_code_and_one_token_at_once_one_succeeds(person: Person, clock, service) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    answers = await asyncio.gather(*(prove(person, asked, app.code(1)) for _ in range(32)))
    counts = Counter(answer.status for answer in answers)
    assert counts[200] == 1
    # Who waits too long for the person's row is asked to come again, and finds the token used.
    assert set(counts) <= {200, 410, 503}
    assert await sessions_of(service) == 2
    assert (await prove(person, asked, app.code(1))).status == 410


async def test_of_32_logins_with_one_code_on_two_processes_one_succeeds(two_processes, http) -> None:
    person = Person(http, two_processes[0], "alice")
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], SystemClock())
    waiting = [await person.login() for _ in range(32)]
    people = [Person(http, url, "alice") for url in two_processes * 16]
    code = app.code(1)
    answers = await asyncio.gather(*(prove(each, asked, code) for each, asked in zip(people, waiting, strict=True)))
    counts = Counter(answer.status for answer in answers)
    assert counts[200] == 1
    assert counts[401] <= 5
    assert set(counts) <= {200, 401, 429, 503}


async def test_neither_a_restart_nor_an_emptied_redis_brings_a_used_code_back(start_service, http, clock) -> None:
    first = await start_service(clock)
    person = Person(http, first.url, "alice")
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    used = app.code(1)
    assert (await prove(person, await person.login(), used)).status == 200
    assert await first.take_from_redis("*")
    await first.stop()
    second = await start_service(clock)
    person.url = second.url
    answer = await prove(person, await person.login(), used)
    assert (answer.status, answer.body["code"]) == (401, "mfa_failed")


# -- a token once -------------------------------------------------------------------------------------------


async def test_a_token_that_redis_brings_back_makes_no_second_session(person: Person, clock, service) -> None:
    login = await register_and_login(person)
    app, codes = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    kept = await service.take_from_redis("mfa")
    assert len(kept) == 1
    await service.bring_back_to_redis(kept)
    assert (await prove(person, asked, app.code(1))).status == 200
    await service.bring_back_to_redis(kept)
    clock.next_step()
    for code, method in ((app.code(1), "totp"), (codes[0], "recovery_code")):
        answer = await prove(person, asked, code, method)
        assert (answer.status, answer.body["code"]) == (410, "flow_expired")
    assert await sessions_of(service) == 2
    # Nothing was used up by it.
    assert (await prove(person, await person.login(), app.code(1))).status == 200


async def test_a_redis_that_is_lost_after_the_commit_costs_nothing(
    person: Person, clock, service, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await register_and_login(person)
    app, codes = await enrol(person, login["access_token"], clock)
    asked = await person.login()

    async def lost(*_: object) -> None:
        raise RedisUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(service.services.second_step._flows, "take", lost)
        done = await prove(person, asked, app.code(1))
    assert done.status == 200
    assert (await person.session(done.body["access_token"])).status == 200
    assert (await prove(person, asked, codes[0], "recovery_code")).status == 410


async def test_what_fails_before_the_commit_uses_nothing_up(person: Person, clock, service) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    await service.execute("REVOKE INSERT ON refresh_tokens FROM cypher_service")
    refused = await prove(person, asked, app.code(1))
    assert (refused.status, refused.body["code"]) == (503, "dependency_unavailable")
    await service.execute("GRANT INSERT ON refresh_tokens TO cypher_service")
    assert await service.fetch("SELECT id FROM factor_failures") == []
    assert (await prove(person, asked, app.code(1))).status == 200


async def test_a_token_dies_after_its_time(start_service, http, clock) -> None:
    service = await start_service(clock, MFA_FLOW_SECONDS="1")
    person = Person(http, service.url, "alice")
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    assert asked.body["expires_in"] == 1
    await asyncio.sleep(1.2)
    answer = await prove(person, asked, app.code(1))
    assert (answer.status, answer.body["code"]) == (410, "flow_expired")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ("UPDATE users SET opaque_credential_id = '\\x00112233445566778899aabbccddeeff'", 410, "flow_expired"),
        ("UPDATE users SET sessions_revoked_at = now()", 410, "flow_expired"),
        ("UPDATE users SET is_active = FALSE", 403, "account_disabled"),
        ("UPDATE users SET locked_until = now() + INTERVAL '1 hour'", 403, "account_locked"),
    ],
    ids=["password", "sessions", "disabled", "locked"],
)
async def test_a_second_step_cannot_end_a_login_that_began_before_a_change(
    person: Person, clock, service, change: str, status: int, code: str
) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    await service.execute(change)
    for sent in (app.wrong_code(), app.code(1)):
        answer = await prove(person, asked, sent)
        assert (answer.status, answer.body["code"]) == (status, code)
    assert await sessions_of(service) == 1
    assert await service.fetch("SELECT id FROM factor_failures") == []


async def test_a_second_step_whose_factor_was_taken_away_begins_anew(person: Person, clock) -> None:
    login = await register_and_login(person)
    app, codes = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    done = (await prove(person, await person.login(), app.code(1))).body
    assert (await person.bearing("DELETE", "/v1/factors/totp", done["access_token"])).status == 204
    for code, method in ((app.code(1), "totp"), (codes[0], "recovery_code")):
        assert (await prove(person, asked, code, method)).status == 410


# -- recovery codes -----------------------------------------------------------------------------------------


async def test_each_recovery_code_works_once(person: Person, clock) -> None:
    login = await register_and_login(person)
    _, codes = await enrol(person, login["access_token"], clock)
    spelled = [codes[0], codes[1].upper(), codes[2].replace("-", "")]
    for code in spelled:
        done = await prove(person, await person.login(), code, "recovery_code")
        assert done.status == 200
        assert (done.body["session"]["aal"], done.body["session"]["amr"]) == (2, ["opaque", "recovery_code"])
    shown = await person.bearing("GET", "/v1/factors", login["access_token"])
    assert shown.body["recovery_codes"] == {"remaining": 7}
    asked = await person.login()
    for code in (codes[0], codes[0].upper(), codes[1], codes[2]):
        assert (await prove(person, asked, code, "recovery_code")).status == 401
    assert (await prove(person, asked, codes[3], "recovery_code")).status == 200


async def test_of_eight_uses_of_one_recovery_code_at_once_one_succeeds(person: Person, clock) -> None:
    login = await register_and_login(person)
    _, codes = await enrol(person, login["access_token"], clock)
    waiting = [await person.login() for _ in range(8)]
    answers = await asyncio.gather(*(prove(person, asked, codes[0], "recovery_code") for asked in waiting))
    counts = Counter(answer.status for answer in answers)
    assert counts[200] == 1
    assert set(counts) <= {200, 401, 429, 503}


async def test_new_recovery_codes_end_the_old_ones(person: Person, clock) -> None:
    login = await register_and_login(person)
    app, old = await enrol(person, login["access_token"], clock)
    done = (await prove(person, await person.login(), app.code(1))).body
    renewed = await person.bearing("POST", "/v1/recovery-codes", done["access_token"])
    assert renewed.status == 201
    new = renewed.body["recovery_codes"]
    assert len(set(new) | set(old)) == 20
    asked = await person.login()
    assert (await prove(person, asked, old[0], "recovery_code")).status == 401
    assert (await prove(person, asked, new[0], "recovery_code")).status == 200


async def test_without_a_factor_there_are_no_recovery_codes(person: Person) -> None:
    login = await register_and_login(person)
    refused = await person.bearing("POST", "/v1/recovery-codes", login["access_token"])
    assert (refused.status, refused.body["code"]) == (404, "not_found")
    assert (await person.bearing("DELETE", "/v1/factors/totp", login["access_token"])).status == 204


# -- guessing -----------------------------------------------------------------------------------------------


async def test_failures_count_by_account_across_logins_addresses_and_instances(start_service, http, clock) -> None:
    services = [await start_service(clock, TRUSTED_PROXIES="127.0.0.0/8") for _ in range(2)]
    person = Person(http, services[0].url, "alice")
    login = await register_and_login(person)
    app, codes = await enrol(person, login["access_token"], clock)
    for number in range(5):
        async with services[0].client(headers={"X-Forwarded-For": f"203.0.113.{number}"}) as elsewhere:
            guesser = Person(elsewhere, services[number % 2].url, "alice")
            # A right password in between resets nothing.
            assert (await prove(guesser, await guesser.login(), app.wrong_code())).status == 401
    asked = await person.login()
    for each in services:
        person.url = each.url
        for code, method in ((app.code(1), "totp"), (codes[0], "recovery_code")):
            locked = await prove(person, asked, code, method)
            assert (locked.status, locked.body["code"]) == (429, "factor_locked")
            assert 870 < int(locked.headers["Retry-After"]) <= 900
            assert locked.headers["RateLimit-Policy"] == '"factor";q=5;w=900'
            assert locked.headers["RateLimit"] == f'"factor";r=0;t={locked.headers["Retry-After"]}'
    await services[0].execute("UPDATE factor_failures SET failed_at = failed_at - INTERVAL '15 minutes'")
    assert (await prove(person, asked, app.code(1))).status == 200
    assert "mfa.challenge.failed" in await services[0].audited_actions()


async def test_of_twenty_wrong_codes_at_once_five_are_looked_at(person: Person, clock) -> None:
    login = await register_and_login(person)
    app, _ = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    answers = await asyncio.gather(*(prove(person, asked, app.wrong_code()) for _ in range(20)))
    counts = Counter(answer.status for answer in answers)
    assert counts[401] <= 5
    assert set(counts) <= {401, 429, 503}
    assert (await prove(person, asked, app.code(1))).status in (200, 429)


async def test_guessing_at_a_confirmation_is_counted_as_well(person: Person, clock) -> None:
    token = (await register_and_login(person))["access_token"]
    app = await begin_enrolment(person, token, clock)
    statuses = [(await confirm(person, token, app.wrong_code())).status for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await confirm(person, token, app.code())).status == 429


async def test_too_many_failures_in_a_row_close_the_account_until_an_operator_resets_the_factor(
    start_service, http, clock, run_cli
) -> None:
    service = await start_service(clock, TOTP_FAILURES_TOTAL="3", **UNLIMITED)
    person = Person(http, service.url, "Zoë")
    login = await register_and_login(person)
    app, codes = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    assert [(await prove(person, asked, app.wrong_code())).status for _ in range(2)] == [401, 401]
    assert (await prove(person, asked, app.code(1))).status == 200  # the row is broken
    clock.next_step()
    asked = await person.login()
    assert [(await prove(person, asked, app.wrong_code())).status for _ in range(3)] == [401, 401, 401]
    await service.execute("UPDATE factor_failures SET failed_at = failed_at - INTERVAL '10 days'")
    for code, method in ((app.code(1), "totp"), (codes[0], "recovery_code")):
        locked = await prove(person, await person.login(), code, method)
        assert (locked.status, locked.body["code"]) == (429, "factor_locked")
        assert locked.headers["Retry-After"] == "86400"
    assert "mfa.factor.disabled" in await service.audited_actions()

    unknown = await run_cli(service, "users", "reset-factors", "nobody", "--yes")
    assert (unknown.returncode, unknown.stderr) == (1, "cypher: Nobody has this username.\n")
    reset = await run_cli(service, "users", "reset-factors", "ZOË", "--yes")
    assert reset.returncode == 0, reset.stderr
    assert "zoë" in reset.stdout
    assert "admin.factors.reset" in await service.audited_actions()
    assert (await prove(person, asked, app.code(1))).status == 410
    back = await person.login()
    assert back.body["status"] == "authenticated"
    again, _ = await enrol(person, back.body["access_token"], clock)
    assert again.secret != app.secret


# -- what stays secret --------------------------------------------------------------------------------------


async def test_no_code_or_secret_is_in_the_trail_or_the_log(person: Person, clock, service, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    login = await register_and_login(person)
    app, codes = await enrol(person, login["access_token"], clock)
    asked = await person.login()
    sent = [app.wrong_code(), app.code(1)]
    await prove(person, asked, sent[0])
    await prove(person, asked, codes[1], "recovery_code")
    await prove(person, await person.login(), sent[1])
    rows = await service.fetch("SELECT * FROM audit_logs")
    assert {
        "mfa.factor.begun",
        "mfa.factor.enrolled",
        "mfa.challenge.asked",
        "mfa.challenge.failed",
        "mfa.recovery_codes.used",
    } <= {row["action"] for row in rows}
    written = caplog.text
    for row in rows:
        written += repr(await service.details(row)) + str(row["reason"])
    for secret in (app.secret, *sent, app.code(), *codes, asked.body["mfa_token"]):
        # Six digits can also be a part of some id.
        assert not re.search(f"(?<![0-9a-f]){re.escape(secret)}(?![0-9a-f])", written)
