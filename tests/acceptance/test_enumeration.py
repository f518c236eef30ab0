"""Nobody can tell from login/start whether a name is registered."""

import statistics
import time
from collections.abc import Callable

import opaque_ke_py as opaque
import pytest

from tests.acceptance.person import Person, b64, unb64

PAIRS = 2000
TOLERANCE = 0.05
PLANTED = 0.10
TRIES = 3
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


async def test_the_answer_for_one_name_evaluates_the_same_on_every_instance(start_service, http) -> None:
    one, two = await start_service(), await start_service()
    ke1 = b64(opaque.client_login_start(b"guess").get_message())
    await Person(http, one.url, "known-name").register()
    for name in ("known-name", "nobody-has-this-name"):
        evaluated = set()
        for url in (one.url, one.url, two.url):
            answer = await Person(http, url, name).post("/v1/login/start", {"username": name, "ke1": ke1})
            ke2 = unb64(answer.body["ke2"])
            assert len(ke2) == 320
            evaluated.add(ke2[:32])
        assert len(evaluated) == 1


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


async def measure(person: Person, pairs: int, **sent: str) -> float:
    """Return the ratio of the medians, unknown to known, over interleaved pairs; `sent` goes with both."""
    ke1 = b64(opaque.client_login_start(b"guess").get_message())
    took: dict[str, list[float]] = {"a-known-name": [], "an-unknown-1": []}
    for turn in range(pairs):
        names = list(took) if turn % 2 else list(reversed(took))
        for name in names:
            began = time.perf_counter()
            answer = await person.post("/v1/login/start", {"username": name, "ke1": ke1, **sent})
            took[name].append(time.perf_counter() - began)
            assert answer.status == 200
    return statistics.median(took["an-unknown-1"]) / statistics.median(took["a-known-name"])


async def any_of(tries: int, fits: Callable[[float], bool], person: Person, pairs: int, **sent: str) -> bool:
    """Measure anew while a ratio does not fit: a real difference stays, a busy machine's passes."""
    for _ in range(tries):
        if fits(await measure(person, pairs, **sent)):
            return True
    return False


async def test_known_and_unknown_names_take_the_same_time_and_a_planted_delay_is_seen(
    person: Person, service, monkeypatch
) -> None:
    person.username = "a-known-name"
    await person.register()
    await measure(person, 50)
    assert await any_of(TRIES, lambda ratio: abs(ratio - 1) < TOLERANCE, person, PAIRS)

    login = service.services.login
    credentials = login._credentials
    began = time.perf_counter()
    for _ in range(200):
        await person.start_login()
    delay = PLANTED * (time.perf_counter() - began) / 200

    def slow(name, known):
        if known is None:
            time.sleep(delay)
        return credentials(name, known)

    monkeypatch.setattr(login, "_credentials", slow)
    assert await any_of(TRIES, lambda ratio: ratio - 1 > TOLERANCE, person, PAIRS // 4)
    assert not await any_of(1, lambda ratio: abs(ratio - 1) < TOLERANCE / 2, person, PAIRS // 4)


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["somebody else's", "nobody's"])
async def test_a_token_makes_known_and_unknown_names_take_no_other_time(person: Person, whose: str) -> None:
    person.username = "a-known-name"
    await person.register()
    other = Person(person.http, person.url, "somebody-else")
    await other.register()
    good = (await other.login(device={"fingerprint": "print"})).body["device_token"]
    sent = {"device_token": good if whose == "somebody else's" else "cyd_" + "A" * 43}
    await measure(person, 50, **sent)
    assert await any_of(TRIES, lambda ratio: abs(ratio - 1) < TOLERANCE, person, PAIRS, **sent)


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
