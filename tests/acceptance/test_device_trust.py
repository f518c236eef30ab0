"""A trusted device skips the second factor: by its token, for its owner, for thirty days, until something changes."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest

from cypher.operating import people
from tests.acceptance.authenticator import Authenticator, HandClock, enrol, prove, reauthenticate
from tests.acceptance.new_passwords import change, id_of, recover
from tests.acceptance.person import Answer, Person

LAPTOP = {"fingerprint": "laptop-print", "name": "Laptop"}
PHONE = {"fingerprint": "phone-print"}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def service(start_service, clock):
    return await start_service(clock)


class Owner(Person):
    """A person with a second factor; each of their codes is used once."""

    app: Authenticator
    codes: list[str]
    clock: HandClock

    async def begin(self, clock: HandClock) -> None:
        self.clock = clock
        assert (await self.register()).status == 201
        self.app, self.codes = await enrol(self, (await self.login()).body["access_token"], clock)

    async def answer(self, asked: Answer, **chosen: object) -> Answer:
        """Prove the second factor."""
        self.clock.next_step()
        return await prove(self, asked, self.app.code(), **chosen)

    async def full_login(self, device_token: str | None = None, **chosen: Any) -> dict[str, Any]:
        """Log in with the factor; `trust_device` goes with that and the rest with the password."""
        trust = chosen.pop("trust_device", False)
        done = await self.answer(await self.login(device_token, **chosen), trust_device=trust)
        assert done.status == 200, done.body
        return done.body


@pytest.fixture
async def alice(service, http, clock: HandClock) -> Owner:
    owner = Owner(http, service.url, "alice")
    await owner.begin(clock)
    return owner


@pytest.fixture
async def trusted(alice: Owner) -> dict[str, Any]:
    return await alice.full_login(device=LAPTOP, trust_device=True)


def is_asked(answer: Answer) -> bool:
    assert answer.status == 200, answer.body
    return answer.body["status"] == "mfa_required"


# -- what trust is ------------------------------------------------------------------------------------------


async def test_a_trusted_device_is_not_asked_and_says_what_was_proven(alice: Owner, trusted, service) -> None:
    assert (trusted["session"]["aal"], trusted["session"]["amr"]) == (2, ["opaque", "totp"])
    done = await alice.login(trusted["device_token"], device=LAPTOP)
    assert not is_asked(done)
    session = done.body["session"]
    assert (session["aal"], session["amr"]) == (1, ["opaque"])
    assert session["device_id"] == trusted["session"]["device_id"]
    claims = jwt.decode(done.body["access_token"], options={"verify_signature": False})
    assert (claims["aal"], claims["amr"]) == (1, ["opaque"])
    [granted], [used] = await service.audit("device.trust.granted"), await service.audit("device.trust.used")
    assert (str(granted["session_id"]), str(used["session_id"])) == (trusted["session"]["id"], session["id"])
    # Again and again, each time with the token of the time before; and without naming it, which leaves the token.
    last = (await alice.login(done.body["device_token"], device=LAPTOP)).body
    for _ in range(2):
        assert not is_asked(await alice.login(last["device_token"]))


async def test_trust_is_shown_and_ends_thirty_days_after_it_was_given(alice: Owner, trusted, service) -> None:
    [device] = (await alice.bearing("GET", "/v1/devices", trusted["access_token"])).body["items"]
    until = datetime.fromisoformat(device["trusted_until"])
    seen = datetime.fromisoformat(device["last_seen_at"])
    assert abs(until - seen - timedelta(days=30)) < timedelta(minutes=1)
    token = (await alice.login(trusted["device_token"], device=LAPTOP)).body["device_token"]
    [again] = (await alice.bearing("GET", "/v1/devices", trusted["access_token"])).body["items"]
    assert again["trusted_until"] == device["trusted_until"]
    await service.execute("UPDATE devices SET trusted_until = now() - INTERVAL '1 second'")
    asked = await alice.login(token, device=LAPTOP)
    assert is_asked(asked)
    renewed = (await alice.answer(asked, trust_device=True)).body
    assert not is_asked(await alice.login(renewed["device_token"]))


async def test_the_time_of_trust_can_be_set(start_service, http, clock) -> None:
    service = await start_service(clock, DEVICE_TRUST_SECONDS="3600")
    owner = Owner(http, service.url, "alice")
    await owner.begin(clock)
    await owner.full_login(device=LAPTOP, trust_device=True)
    [row] = await service.fetch("SELECT trusted_until - now() AS trust, token_expires_at - now() AS token FROM devices")
    for left in (row["trust"], row["token"]):
        assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_a_token_without_trust_skips_nothing(alice: Owner) -> None:
    known = await alice.full_login(device=LAPTOP)
    asked = await alice.login(known["device_token"], device=LAPTOP)
    assert is_asked(asked)
    again = (await alice.answer(asked)).body
    assert again["session"]["device_id"] == known["session"]["device_id"]
    assert again["device_token"] != known["device_token"]


async def test_a_trusted_device_does_not_count_for_what_needs_a_fresh_proof(alice: Owner, trusted) -> None:
    login = (await alice.login(trusted["device_token"], device=LAPTOP)).body
    refused = await alice.bearing("POST", "/v1/recovery-codes", login["access_token"])
    assert (refused.status, refused.body["code"]) == (403, "reauthentication_required")
    asked = await reauthenticate(alice, login["access_token"])
    assert is_asked(asked)
    renewed = (await alice.answer(asked)).body
    assert (renewed["session"]["id"], renewed["session"]["aal"]) == (login["session"]["id"], 2)
    assert (await alice.bearing("POST", "/v1/recovery-codes", renewed["access_token"])).status == 201


async def test_trust_needs_a_device_that_the_login_named_and_costs_no_code_otherwise(alice: Owner, trusted) -> None:
    asked = await alice.login()
    alice.clock.next_step()
    code = alice.app.code()
    refused = await prove(alice, asked, code, trust_device=True)
    assert (refused.status, refused.body["errors"]) == (422, [{"pointer": "/trust_device", "code": "no_device"}])
    assert (await prove(alice, asked, code, trust_device="yes")).status == 422
    assert (await prove(alice, asked, code)).status == 200
    again = await reauthenticate(alice, trusted["access_token"])
    assert (await alice.answer(again, trust_device=True)).status == 422


async def test_a_wrong_code_gives_no_trust(alice: Owner, service) -> None:
    asked = await alice.login(device=LAPTOP)
    assert (await prove(alice, asked, alice.app.wrong_code(), trust_device=True)).status == 401
    assert await service.fetch("SELECT id FROM devices") == []
    recovered = await prove(alice, asked, alice.codes[0], "recovery_code", trust_device=True)
    assert recovered.status == 200
    assert not is_asked(await alice.login(recovered.body["device_token"], device=LAPTOP))


# -- what trust is not --------------------------------------------------------------------------------------


async def test_a_fingerprint_is_never_a_credential(alice: Owner, trusted, service) -> None:
    """Who has seen the fingerprint and knows the password is asked, and gets no trust with the factor either."""
    for token in (None, "cyd_" + "A" * 43, "x"):
        assert is_asked(await alice.login(token, device=LAPTOP))
    # Being asked ends nothing.
    token = (await alice.login(trusted["device_token"], device=LAPTOP)).body["device_token"]
    other = await alice.full_login(device=LAPTOP)
    for each in (other["device_token"], token, trusted["device_token"]):
        assert is_asked(await alice.login(each, device=LAPTOP))
    [device] = (await alice.bearing("GET", "/v1/devices", trusted["access_token"])).body["items"]
    assert device["trusted_until"] is None


async def test_a_token_is_good_for_the_device_it_was_given_to(alice: Owner, trusted) -> None:
    assert is_asked(await alice.login(trusted["device_token"], device=PHONE))
    moved = await alice.full_login(trusted["device_token"], device=PHONE)
    assert moved["session"]["device_id"] != trusted["session"]["device_id"]
    assert is_asked(await alice.login(moved["device_token"], device=PHONE))
    assert not is_asked(await alice.login(trusted["device_token"], device=LAPTOP))


async def test_a_token_is_good_for_its_owner_only(alice: Owner, trusted, http, clock, service) -> None:
    bob = Owner(http, service.url, "bob")
    await bob.begin(clock)
    for device in (LAPTOP, PHONE):
        assert is_asked(await bob.login(trusted["device_token"], device=device))
    await bob.full_login(trusted["device_token"], device=LAPTOP, trust_device=True)
    assert not is_asked(await alice.login(trusted["device_token"], device=LAPTOP))


async def test_a_lost_answer_costs_no_trust_and_the_token_before_the_one_shown_is_worthless(
    alice: Owner, trusted, service
) -> None:
    first = trusted["device_token"]
    lost = (await alice.login(first, device=LAPTOP)).body["device_token"]
    second = (await alice.login(first, device=LAPTOP)).body["device_token"]
    assert is_asked(await alice.login(lost, device=LAPTOP))
    assert not is_asked(await alice.login(second))
    for _ in range(2):
        assert is_asked(await alice.login(first, device=LAPTOP))
        await service.take_from_redis("*")  # brings nothing back
    assert not is_asked(await alice.login(second, device=LAPTOP))


async def test_of_logins_at_once_with_one_token_none_is_asked_and_the_last_token_is_the_good_one(
    alice: Owner, trusted
) -> None:
    """Two tabs."""
    started = [await alice.start_login(trusted["device_token"]) for _ in range(6)]
    answers = await asyncio.gather(
        *(alice.post("/v1/login/finish", alice.prove(*each) | {"device": LAPTOP}) for each in started)
    )
    done = [answer for answer in answers if answer.status != 503]  # who waits too long for the person's row comes again
    assert done
    assert not any(is_asked(answer) for answer in done)
    good = [not is_asked(await alice.login(answer.body["device_token"])) for answer in done]
    assert sum(good) == 1
    assert is_asked(await alice.login(trusted["device_token"]))


# -- what ends it -------------------------------------------------------------------------------------------


async def end_by_its_owner(alice: Owner, trusted, service) -> None:
    path = f"/v1/devices/{trusted['session']['device_id']}"
    ended = await alice.bearing("PATCH", path, trusted["access_token"], json={"trusted": False})
    assert (ended.status, ended.body["trusted_until"]) == (200, None)
    assert len(await service.audit("device.trust.ended")) == 1


async def end_by_revocation(alice: Owner, trusted, service) -> None:
    other = await alice.full_login()
    path = f"/v1/devices/{trusted['session']['device_id']}"
    assert (await alice.bearing("DELETE", path, other["access_token"])).status == 204


async def end_by_another_factor(alice: Owner, trusted, service) -> None:
    token = trusted["access_token"]
    assert (await alice.bearing("DELETE", "/v1/factors/totp", token)).status == 204
    [row] = await service.fetch("SELECT count(trusted_until) AS trusted FROM devices")
    assert row["trusted"] == 0
    alice.clock.next_step()
    alice.app, alice.codes = await enrol(alice, token, alice.clock)


async def end_as_a_password_change_does(alice: Owner, trusted, service) -> None:
    async with service.resources.db.transaction() as repos:
        user = await repos.users.find_by_username("alice")
        assert await repos.users.hold_user(user.id)
        assert await repos.devices.end_trust(user.id) == 1


ENDS = [
    end_by_its_owner,
    end_by_revocation,
    end_by_another_factor,
    end_as_a_password_change_does,
]
each_end = pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)


@each_end
async def test_trust_that_ended_is_over_before_a_login_and_in_the_middle_of_one(
    alice: Owner, trusted, service, end
) -> None:
    begun = [await alice.start_login(trusted["device_token"]) for _ in range(2)]
    await end(alice, trusted, service)
    for each, named in zip(begun, ({"device": LAPTOP}, {}), strict=True):
        assert is_asked(await alice.post("/v1/login/finish", alice.prove(*each) | named))
    for named in ({"device": LAPTOP}, {}):
        asked = await alice.login(trusted["device_token"], **named)
        assert is_asked(asked)
    assert (await alice.answer(asked)).status == 200


async def test_an_operator_who_takes_the_factor_away_ends_the_trust(alice: Owner, trusted, service, run_cli) -> None:
    assert (await run_cli(service, "users", "reset-factors", "alice", "--yes")).returncode == 0
    login = (await alice.login(trusted["device_token"], device=LAPTOP)).body
    assert login["status"] == "authenticated"
    alice.clock.next_step()
    alice.app, alice.codes = await enrol(alice, login["access_token"], alice.clock)
    assert is_asked(await alice.login(login["device_token"], device=LAPTOP))


async def test_racing_with_the_end_of_trust_a_login_is_before_it_or_is_asked(alice: Owner, service) -> None:
    for _ in range(5):
        trusted = await alice.full_login(device=LAPTOP, trust_device=True)
        path = f"/v1/devices/{trusted['session']['device_id']}"
        begun = await alice.start_login(trusted["device_token"])
        finished, ended = await asyncio.gather(
            alice.post("/v1/login/finish", alice.prove(*begun) | {"device": LAPTOP}),
            alice.bearing("PATCH", path, trusted["access_token"], json={"trusted": False}),
        )
        assert ended.status == 200
        # Whichever came first: nothing is trusted now.
        token = finished.body.get("device_token", trusted["device_token"])
        assert is_asked(await alice.login(token, device=LAPTOP))
    assert await service.fetch("SELECT id FROM devices WHERE trusted_until IS NOT NULL") == []


async def test_without_a_factor_there_is_no_trust_to_carry_over(person: Person, clock) -> None:
    """What was known before a factor was enrolled is asked for it."""
    await person.register()
    login = (await person.login(device=LAPTOP)).body
    await enrol(person, login["access_token"], clock)
    assert is_asked(await person.login(login["device_token"], device=LAPTOP))


async def test_a_trusted_login_that_redis_brings_back_makes_no_second_session(alice: Owner, trusted, service) -> None:
    begun = await alice.start_login(trusted["device_token"])
    kept = await service.take_from_redis("login")
    await service.bring_back_to_redis(kept)
    proof = alice.prove(*begun) | {"device": LAPTOP}
    done = await alice.post("/v1/login/finish", proof)
    assert not is_asked(done)
    count = "SELECT count(*) FROM user_sessions"
    before = await service.fetch(count)
    await service.bring_back_to_redis(kept)
    assert (await alice.post("/v1/login/finish", proof)).status == 410
    assert await service.fetch(count) == before
    # Also when its token is worthless by then.
    assert not is_asked(await alice.login(done.body["device_token"]))
    before = await service.fetch(count)
    await service.bring_back_to_redis(kept)
    asked = await alice.post("/v1/login/finish", proof)
    assert is_asked(asked)
    assert (await alice.answer(asked)).status == 410
    assert await service.fetch(count) == before
    assert not is_asked(await alice.login(done.body["device_token"], device=LAPTOP))


async def test_trust_and_the_password_it_was_given_under_end_together(alice: Owner, trusted, service) -> None:
    assert (await change(alice, trusted["access_token"])).status == 204
    assert is_asked(await alice.login(trusted["device_token"], device=LAPTOP))


async def test_a_recovery_ends_trust_as_well(alice: Owner, trusted, service) -> None:
    token = await people(service.resources).issue_recovery(id_of(trusted))
    assert (await recover(alice, token.recovery_token)).status == 204
    assert is_asked(await alice.login(trusted["device_token"], device=LAPTOP))
