"""Nobody can tell from login/start whether a name is registered."""

import statistics
import time

import opaque_ke_py as opaque
import pytest

from cypher.auth.opaque import new_setup
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from tests.acceptance.person import Person, b64, unb64
from tests.acceptance.service import Service

PAIRS = 2000
TOLERANCE = 0.05
PLANTED = 0.10
TRIES = 3
KNOWN = "a-known-name"
UNKNOWN = "an-unknown-1"
PER_REQUEST = {"x-request-id", "date"}


async def test_known_and_unknown_names_get_answers_of_one_shape(person: Person) -> None:
    await person.register()
    known, _ = await person.start_login()
    person.username = "nobody-has-this-name"
    unknown, _ = await person.start_login()
    assert (known.status, unknown.status) == (200, 200)
    assert known.body.keys() == unknown.body.keys()
    assert {name: len(str(value)) for name, value in known.body.items()} == {
        name: len(str(value)) for name, value in unknown.body.items()
    }
    assert {k: v for k, v in known.headers.items() if k.lower() not in PER_REQUEST} == {
        k: v for k, v in unknown.headers.items() if k.lower() not in PER_REQUEST
    }
    finished = [
        await person.post("/v1/login/finish", {"flow_id": each.body["flow_id"], "ke3": b64(bytes(64))})
        for each in (known, unknown)
    ]
    assert {(answer.status, answer.body["code"]) for answer in finished} == {(401, "invalid_credentials")}


async def test_no_token_changes_the_shape_of_an_answer(person: Person) -> None:
    """Neither a good one, nor another person's, nor what is none; for a name that nobody has as well."""
    await person.register()
    good = (await person.login(device={"fingerprint": "print"})).body["device_token"]
    other = Person(person.http, person.url, "other")
    await other.register()
    shapes = []
    for name in (person.username, "other", "nobody-has-this-name"):
        for token in (None, good, "cyd_" + "A" * 43, "junk", ""):
            answer, _ = await Person(person.http, person.url, name).start_login(token)
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in PER_REQUEST}
            shapes.append((answer.status, {name: len(str(value)) for name, value in answer.body.items()}, headers))
    assert shapes[0][0] == 200
    assert all(shape == shapes[0] for shape in shapes)


async def test_the_answer_for_one_name_evaluates_the_same_everywhere_and_after_a_restart_under_a_new_setup(
    start_service, http
) -> None:
    one, two = await start_service(), await start_service()
    ke1 = b64(opaque.client_login_start(b"guess").get_message())
    await Person(http, one.url, "known-name").register()
    evaluated: dict[str, set[bytes]] = {"known-name": set(), "nobody-has-this-name": set()}

    async def ask(*services: Service) -> None:
        for name in evaluated:
            for service in services:
                answer = await Person(http, service.url, name).post("/v1/login/start", {"username": name, "ke1": ke1})
                ke2 = unb64(answer.body["ke2"])
                assert len(ke2) == 320
                evaluated[name].add(ke2[:32])

    await ask(one, one, two)
    assert rotate(one.resources.ring, Purpose.OPAQUE, secret=new_setup())
    await ask(one, two, await start_service())
    assert {name: len(elements) for name, elements in evaluated.items()} == {name: 1 for name in evaluated}


async def test_registration_starts_the_same_for_a_name_that_is_taken(person: Person) -> None:
    await person.register()
    request = b64(opaque.client_registration_start(b"guess").get_message())
    seen = []
    for name in (person.username, person.username, "nobody-has-this-name"):
        answer = await person.post("/v1/registration/start", {"username": name, "registration_request": request})
        assert answer.status == 200
        seen.append(unb64(answer.body["registration_response"]))
    # A stored credential identifier would evaluate the same each time: a password oracle without any limit.
    assert len({response[:32] for response in seen}) == 3
    assert {len(response) for response in seen} == {64}


class Watch:
    """Begins logins under a known and an unknown name, by turns, and keeps how long each answer took.

    `sent` goes with both.
    """

    def __init__(self, person: Person, **sent: str) -> None:
        self.person = person
        self.sent = sent
        self.took: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}

    async def ratio(self, pairs: int) -> float:
        """Return the ratio of the medians, unknown to known, of as many new pairs."""
        ke1 = b64(opaque.client_login_start(b"guess").get_message())
        for turn in range(pairs):
            for name in (KNOWN, UNKNOWN) if turn % 2 else (UNKNOWN, KNOWN):
                began = time.perf_counter()
                answer = await self.person.post("/v1/login/start", {"username": name, "ke1": ke1, **self.sent})
                self.took[name].append(time.perf_counter() - began)
                assert answer.status == 200
        return statistics.median(self.took[UNKNOWN][-pairs:]) / statistics.median(self.took[KNOWN][-pairs:])

    async def finds_no_difference(self, pairs: int) -> bool:
        """Measure anew while there is one: a real one stays, a busy machine's passes."""
        for _ in range(TRIES):
            if abs(await self.ratio(pairs) - 1) < TOLERANCE:
                return True
        return False

    async def finds_a_delay(self, pairs: int) -> bool:
        """Measure anew while there is none: a real one stays, what a busy machine hides shows."""
        for _ in range(TRIES):
            if await self.ratio(pairs) - 1 > TOLERANCE:
                return True
        return False


async def test_known_and_unknown_names_take_the_same_time_and_a_planted_delay_is_seen(
    person: Person, service, monkeypatch
) -> None:
    person.username = KNOWN
    await person.register()
    watch = Watch(person)
    await watch.ratio(50)
    assert await watch.finds_no_difference(PAIRS)

    login = service.services.login
    credentials = login._credentials

    def slow(name, known):
        if known is None:
            # Spent, not slept: a short sleep lasts longer than it should.
            end = time.perf_counter() + PLANTED * statistics.median(watch.took[KNOWN][-100:])
            while time.perf_counter() < end:
                pass
        return credentials(name, known)

    monkeypatch.setattr(login, "_credentials", slow)
    assert await watch.finds_a_delay(PAIRS // 4)


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["somebody else's", "nobody's"])
async def test_a_token_makes_known_and_unknown_names_take_no_other_time(person: Person, whose: str) -> None:
    person.username = KNOWN
    await person.register()
    other = Person(person.http, person.url, "somebody-else")
    await other.register()
    good = (await other.login(device={"fingerprint": "print"})).body["device_token"]
    sent = {"device_token": good if whose == "somebody else's" else "cyd_" + "A" * 43}
    watch = Watch(person, **sent)
    await watch.ratio(50)
    assert await watch.finds_no_difference(PAIRS)


async def test_the_configuration_shows_the_public_key_and_nothing_else_of_the_setup(person: Person, service) -> None:
    config = (await person.ask("GET", "/v1/config")).body
    public_key = unb64(config["opaque"]["server_public_key"])
    assert len(public_key) == 32
    assert config["opaque"]["ksf"] == {"name": "argon2id", "memory_kib": 19456, "iterations": 2, "parallelism": 1}
    started, _ = await person.start_registration()
    assert unb64(started.body["registration_response"])[-32:] == public_key
    setup = service.setup()
    shown = b"".join(unb64(value) for value in (config["opaque"]["server_public_key"],)) + repr(config).encode()
    assert not any(setup[at : at + 16] in shown for at in range(len(setup) - 15))
