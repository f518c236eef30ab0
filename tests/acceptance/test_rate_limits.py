"""Guessing is slow and owners still get in: limits over HTTP, with the defaults and at their edges."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from cypher.client import CypherClient, RateLimited
from cypher.web.routes import ROUTES, Counted, Exempt
from tests.acceptance.authenticator import start_reauthentication
from tests.acceptance.person import Answer, Person
from tests.acceptance.service import DEFAULT_LIMITS, NO_LIMITS, free_port

BEHIND_A_PROXY = {"TRUSTED_PROXIES": "127.0.0.0/8"}


class Traveller(Person):
    """A person whose requests come from an address of choice."""

    address = "203.0.113.1"

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"X-Forwarded-For": self.address, **options.pop("headers", {})}
        return await super().ask(method, path, headers=headers, **options)

    async def guess(self, address: str = "203.0.113.1") -> Answer:
        self.address = address
        return (await self.start_login())[0]


def wait_of(answer: Answer) -> int:
    assert (answer.status, answer.body["code"]) == (429, "rate_limited")
    assert answer.headers["RateLimit"] == f'"login";r=0;t={answer.headers["Retry-After"]}'
    return int(answer.headers["Retry-After"])


@pytest.fixture
async def guarded(start_service):
    """A service with the defaults, behind a proxy that says where people are."""
    return await start_service(**DEFAULT_LIMITS, **BEHIND_A_PROXY)


@pytest.fixture
def alice(guarded, http: aiohttp.ClientSession) -> Traveller:
    return Traveller(http, guarded.url, "alice")


# -- the defaults -------------------------------------------------------------------------------------------


async def test_ten_guesses_from_one_address_and_then_a_quarter_of_an_hour(guarded, alice: Traveller) -> None:
    await alice.register()
    guesses = await asyncio.gather(*(alice.guess() for _ in range(30)))
    assert sum(answer.status == 200 for answer in guesses) == 10
    refused = await alice.guess()
    assert 800 < wait_of(refused) <= 900
    assert refused.headers["RateLimit-Policy"] == '"login";q=10;w=900'
    assert (await alice.guess("203.0.113.2")).status == 200
    assert await guarded.times("auth.login.attempted") == 11


async def test_a_name_that_nobody_has_is_counted_and_refused_like_one_that_somebody_has(
    guarded, alice: Traveller
) -> None:
    await alice.register()
    unknown = Traveller(alice.http, alice.url, "nobody")
    answers = []
    for person, address in ((alice, "203.0.113.7"), (unknown, "203.0.113.8")):
        statuses = [(await person.guess(address)).status for _ in range(10)]
        refused = await person.guess(address)
        wait = wait_of(refused)
        told = {name: value for name, value in refused.headers.items() if name.startswith("RateLimit-")}
        body = {name: value for name, value in refused.body.items() if name != "request_id"}
        answers.append((statuses, told, body, wait > 800))
    assert answers[0] == answers[1]


async def test_a_hundred_guesses_from_many_addresses_and_then_an_hour(alice: Traveller) -> None:
    statuses = [(await alice.guess(f"198.51.100.{number}")).status for number in range(100)]
    assert statuses == [200] * 100
    refused = await alice.guess("198.51.100.250")
    assert 3000 < wait_of(refused) <= 3600
    # It was not the address, and the refused attempt does not stand on it.
    bob = Traveller(alice.http, alice.url, "bob")
    assert [(await bob.guess("198.51.100.250")).status for _ in range(10)] == [200] * 10


async def test_thirty_names_a_minute_from_one_address_and_all_of_an_ipv6_network_is_one(alice: Traveller) -> None:
    people = [Traveller(alice.http, alice.url, f"person-{number}") for number in range(31)]
    answers = [await person.guess(f"2001:db8::{number:x}") for number, person in enumerate(people)]
    assert [answer.status for answer in answers] == [200] * 30 + [429]
    assert wait_of(answers[-1]) <= 60
    assert (await people[-1].guess("2001:db8:0:1::1")).status == 200


async def test_a_sixth_registration_of_an_hour_is_refused(alice: Traveller) -> None:
    people = [Traveller(alice.http, alice.url, f"person-{number}") for number in range(6)]
    answers = [(await person.start_registration())[0] for person in people]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["RateLimit-Policy"] == '"registration";q=5;w=3600'


async def test_refreshing_more_than_once_a_second_is_refused_in_the_form_of_its_route(alice: Traveller) -> None:
    answers = [await alice.refresh("cyr_unknown") for _ in range(61)]
    assert [answer.status for answer in answers] == [400] * 60 + [429]
    assert answers[-1].body["error"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


# -- the owner ----------------------------------------------------------------------------------------------


async def test_logins_that_finish_do_not_count_however_many(alice: Traveller) -> None:
    await alice.register()
    for _ in range(12):
        assert (await alice.login()).status == 200


async def test_a_finished_login_does_not_give_a_guesser_an_attempt_back(alice: Traveller) -> None:
    await alice.register()
    for _ in range(9):
        await alice.guess()
    assert (await alice.login()).status == 200
    assert [(await alice.guess()).status for _ in range(2)] == [200, 429]


async def test_a_login_that_does_not_finish_counts(alice: Traveller) -> None:
    await alice.register()
    for _ in range(10):
        started, _ = await alice.start_login()
        body = {"flow_id": started.body["flow_id"], "ke3": "A" * 86}
        assert (await alice.post("/v1/login/finish", body)).status == 401
    assert (await alice.guess()).status == 429


async def test_an_attempt_counts_whatever_came_of_it(alice: Traveller) -> None:
    for _ in range(10):
        assert (await alice.post("/v1/login/start", {"username": "alice", "ke1": "A" * 128})).status == 400
    assert (await alice.guess()).status == 429


async def test_finishing_twice_takes_back_once(alice: Traveller) -> None:
    await alice.register()
    for _ in range(9):
        await alice.guess()
    started, state = await alice.start_login()
    finish = alice.prove(started, state)
    answers = await asyncio.gather(*(alice.post("/v1/login/finish", finish) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 410, 410, 410, 410]
    assert [(await alice.guess()).status for _ in range(2)] == [200, 429]


async def test_a_device_token_that_nobody_was_given_changes_nothing(alice: Traveller) -> None:
    await alice.register()
    for _ in range(10):
        assert (await alice.guess()).status == 200
    started, _ = await alice.start_login()
    assert started.status == 429
    request = {"username": "alice", "ke1": "A" * 128, "device_token": "cyd_" + "A" * 43}
    assert (await alice.post("/v1/login/start", request)).status == 429


# -- a known device -----------------------------------------------------------------------------------------

LAPTOP = {"fingerprint": "laptop-print"}


async def use_up_the_name(person: Traveller) -> None:
    statuses = [(await person.guess(f"198.51.100.{number}")).status for number in range(101)]
    assert statuses == [200] * 100 + [429]
    person.address = "203.0.113.1"


async def test_strangers_use_up_a_name_and_the_owners_device_still_gets_in(guarded, alice: Traveller) -> None:
    await alice.register()
    first = (await alice.login(device=LAPTOP)).body
    second = (await alice.login(first["device_token"], device=LAPTOP)).body
    token = (await alice.login(second["device_token"], device=LAPTOP)).body["device_token"]
    bob = Traveller(alice.http, alice.url, "bob")
    await bob.register()
    theirs = (await bob.login(device=LAPTOP)).body["device_token"]
    await use_up_the_name(alice)
    for of_no_use in (None, first["device_token"], theirs, "cyd_" + "A" * 43, token[:-1], token + "A"):
        assert (await alice.start_login(of_no_use))[0].status == 429
    for number in range(12):  # more often than a device may try: each takes its own attempt back
        done = await alice.login(token, device=LAPTOP)
        assert done.status == 200
        if number % 2:  # every other answer is lost
            token = done.body["device_token"]
    # From wherever the device is; and it is still that name for everybody else.
    alice.address = "2001:db8::1"
    assert (await alice.login(token)).status == 200
    assert (await alice.guess("203.0.113.1")).status == 429
    path, bearer = f"/v1/devices/{done.body['session']['device_id']}", done.body["access_token"]
    assert (await alice.bearing("DELETE", path, bearer)).status == 204
    assert (await alice.start_login(token))[0].status == 429


async def test_a_device_has_ten_attempts_and_is_refused_like_anybody(guarded, alice: Traveller) -> None:
    await alice.register()
    token = (await alice.login(device=LAPTOP)).body["device_token"]
    for number in range(10):
        alice.address = f"198.51.100.{number}"
        started, _ = await alice.start_login(token)
        wrong = {"flow_id": started.body["flow_id"], "ke3": "A" * 86}
        assert (await alice.post("/v1/login/finish", wrong)).status == 401
    alice.address = "203.0.113.1"
    refused, _ = await alice.start_login(token)
    statuses = [(await alice.guess()).status for _ in range(10)]
    assert statuses == [200] * 10  # the name has its own
    other = await alice.guess()
    assert wait_of(refused) > 800
    assert wait_of(other) > 800
    differ = {"x-request-id", "date", "retry-after", "ratelimit"}
    shown = [
        (
            {name: value for name, value in answer.headers.items() if name.lower() not in differ},
            {name: value for name, value in answer.body.items() if name != "request_id"},
        )
        for answer in (refused, other)
    ]
    assert shown[0] == shown[1]


async def test_strangers_do_not_keep_an_owner_from_proving_the_password_again(guarded, alice: Traveller) -> None:
    await alice.register()
    known, unknown = (await alice.login(device=LAPTOP)).body, (await alice.login()).body
    await use_up_the_name(alice)
    for login, status in ((known, 200), (unknown, 429)):
        started, _ = await start_reauthentication(alice, login["access_token"])
        assert started.status == status
    for _ in range(9):
        assert (await start_reauthentication(alice, known["access_token"]))[0].status == 200
    assert (await start_reauthentication(alice, known["access_token"]))[0].status == 429


async def test_a_flood_of_tokens_from_one_address_reaches_no_database(
    guarded, alice: Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.register()
    token = (await alice.login(device=LAPTOP)).body["device_token"]
    for number in range(30):
        await Traveller(alice.http, alice.url, f"person-{number}").guess()
    asked = []
    find = guarded.services.login._devices.find

    async def counted(*given: object):
        asked.append(given)
        return await find(*given)

    monkeypatch.setattr(guarded.services.login._devices, "find", counted)
    for _ in range(5):
        assert (await alice.start_login(token))[0].status == 429
    assert asked == []
    alice.address = "203.0.113.9"
    assert (await alice.start_login(token))[0].status == 200
    assert len(asked) == 1


# -- every route --------------------------------------------------------------------------------------------

ONE_AN_HOUR = dict.fromkeys(NO_LIMITS, "1/3600")


@pytest.fixture
async def narrow(start_service):
    return await start_service(**ONE_AN_HOUR, **BEHIND_A_PROXY)


async def test_every_route_is_held_to_its_limit(narrow, http: aiohttp.ClientSession) -> None:
    """Each from an address of its own, since most of them share one budget.

    Three requests: on a machine so busy that Redis seems away, one of them is counted in the process instead.
    """
    sent = {"username": "alice", "ke1": "A" * 128}
    for number, route in enumerate(ROUTES):
        someone = Traveller(http, narrow.url, "alice")
        someone.address = f"203.0.113.{number}"
        path = route.path.replace("{id}", "00000000-0000-0000-0000-000000000000")
        options: dict[str, Any] = {"json": sent} if route.limit is Counted.BY_LOGIN else {}
        first, *later = [(await someone.ask(route.method, path, **options)).status for _ in range(3)]
        assert first != 429, route
        # Without any token, those that exempt good ones refuse as well.
        exempt = isinstance(route.limit, Exempt) and route.limit is not Exempt.GOOD_TOKEN
        assert (429 in later) is not exempt, route


async def test_a_backend_validates_and_introspects_without_a_limit(start_service, run_cli, http) -> None:
    service = await start_service(**ONE_AN_HOUR)
    person = Person(http, service.url, "alice")
    await person.register()
    # The one default request of this hour was `registration/finish`.
    assert (await person.ask("GET", "/v1/config")).status == 429
    made = json.loads((await run_cli(service, "tokens", "create", "--scope", "introspect", "--json")).stdout)
    token = {"Authorization": f"Bearer {made['token']}"}
    await run_cli(service, "rate-limits", "reset", "--category", "default-address", "--identifier", "127.0.0.1")
    login = (await person.login()).body
    validated = [(await person.session(login["access_token"])).status for _ in range(5)]
    asked = {"data": {"token": login["access_token"]}, "headers": token}
    introspected = [(await person.ask("POST", "/oauth/introspect", **asked)).status for _ in range(5)]
    assert (validated, introspected) == ([200] * 5, [200] * 5)
    bad = [(await person.session(login["access_token"] + "x")).status for _ in range(3)]
    assert bad == [401, 429, 429]
    assert (await person.session(login["access_token"])).status == 200


# -- over instances, without Redis, by hand -----------------------------------------------------------------


async def test_two_instances_count_together(start_service, http: aiohttp.ClientSession) -> None:
    services = [await start_service(**DEFAULT_LIMITS), await start_service(**DEFAULT_LIMITS)]
    people = [Person(http, service.url, "alice") for service in services]
    guesses = await asyncio.gather(*(people[number % 2].start_login() for number in range(28)))
    assert sum(answer.status == 200 for answer, _ in guesses) == 10


async def test_a_login_begun_here_and_finished_there_takes_back_its_attempt(
    start_service, http: aiohttp.ClientSession
) -> None:
    here, there = await start_service(**DEFAULT_LIMITS), await start_service(**DEFAULT_LIMITS)
    person = Person(http, here.url, "alice")
    await person.register()
    for _ in range(12):
        person.url = here.url
        started, state = await person.start_login()
        person.url = there.url
        assert (await person.post("/v1/login/finish", person.prove(started, state))).status == 200


async def test_without_redis_nothing_is_unlimited(start_service, http: aiohttp.ClientSession) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    service = await start_service(**{**ONE_AN_HOUR, "RATE_LIMIT_DEFAULT_ADDRESS": "20/3600"}, REDIS_URL=nowhere)
    person = Person(http, service.url, "alice")
    answers = [await person.ask("GET", "/v1/config") for _ in range(25)]
    assert [answer.status for answer in answers] == [200] * 20 + [429] * 5
    assert [(await person.start_login())[0].status for _ in range(3)] == [503, 429, 429]


async def test_an_operator_sees_and_resets_what_is_counted(guarded, alice: Traveller, run_cli) -> None:
    for _ in range(11):
        await alice.guess()
    subject = ("--category", "login-name-address", "--identifier", f"ALICE ::ffff:{alice.address}")
    listed = json.loads((await run_cli(guarded, "rate-limits", "list", "--json")).stdout)["items"]
    found = next(item for item in listed if item["category"] == "login-name-address")
    assert found == {
        "category": "login-name-address",
        "limit": 10,
        "window_seconds": 900,
        "subjects": 1,
        "refused": 1,
    }
    shown = json.loads((await run_cli(guarded, "rate-limits", "show", *subject, "--json")).stdout)
    assert (shown["identifier"], shown["remaining"]) == (f"alice {alice.address}", 0)
    assert 800 < shown["retry_after"] <= 900
    assert "0 of 10 in 900 s left" in (await run_cli(guarded, "rate-limits", "show", *subject)).stdout
    reset = await run_cli(guarded, "rate-limits", "reset", *subject, "--json")
    assert json.loads(reset.stdout) == {
        "category": "login-name-address",
        "identifier": f"alice {alice.address}",
        "was_counted": True,
    }
    assert (await alice.guess()).status == 200
    assert len(await guarded.audit("admin.rate_limit.reset")) == 1
    assert len(await guarded.audit("abuse.rate_limit.exceeded")) == 1
    assert "login-name" in (await run_cli(guarded, "rate-limits", "list")).stdout


async def test_an_operator_who_names_no_subject_or_meets_no_redis_reads_one_sentence(guarded, run_cli) -> None:
    wrong = await run_cli(guarded, "rate-limits", "show", "--category", "login-address", "--identifier", "alice")
    assert (wrong.returncode, wrong.stderr) == (1, "cypher: login-address counts by an address: this is none.\n")
    guarded.environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    away = await run_cli(guarded, "rate-limits", "list")
    assert away.returncode == 1
    assert len(away.stderr.strip().splitlines()) == 1


# -- the client ---------------------------------------------------------------------------------------------


async def test_the_python_client_says_how_long_to_wait_and_asks_once(start_service, http) -> None:
    service = await start_service(RATE_LIMIT_LOGIN_NAME="1/3600")
    async with CypherClient(service.url) as client:
        await client.register("ada", "correct horse battery staple")
        await client.login("ada", "correct horse battery staple")
        await Person(http, service.url, "ada").start_login()
        with pytest.raises(RateLimited) as refusal:
            await client.login("ada", "correct horse battery staple")
    assert refusal.value.status == 429
    assert refusal.value.retry_after is not None
    assert 3500 < refusal.value.retry_after <= 3600
    assert await service.times("auth.login.attempted") == 2
