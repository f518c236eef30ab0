"""An OPAQUE message that is none is refused with one sentence on every route, and uses up no flow."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from cypher.commands.users import people
from tests.acceptance.authenticator import proof_of, start_reauthentication
from tests.acceptance.new_passwords import (
    any_ke1,
    any_record,
    any_request,
    finish_recovery,
    start_change,
    start_recovery,
)
from tests.acceptance.person import Person, b64, unb64
from tests.acceptance.service import Service

#: What RFC 9496, appendix A.3, lists as no encoding of an element, one of each kind, and the identity, which is one.
NO_ELEMENTS = {
    "the identity": "00" * 32,
    "not canonical, all bits": "ff" * 32,
    "not canonical, the order of the field": "ed" + "ff" * 30 + "7f",
    "not canonical, one byte": "00" + "ff" * 31,
    "negative": "01" + "00" * 31,
    "negative, within the field": "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "no square": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "a negative product": "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "minus one": "ec" + "ff" * 30 + "7f",
}
#: By field: a message that is one, and where the elements stand in it.
MESSAGES: dict[str, tuple[Callable[[], str], tuple[int, ...]]] = {
    "registration_request": (any_request, (0,)),
    "registration_record": (any_record, (0,)),
    "ke1": (any_ke1, (0, 64)),
    "ke3": (lambda: b64(bytes(64)), ()),
}
#: Spellings of the same length or nearly so, none of which is base64url of the right length.
SPELLINGS: dict[str, Callable[[str], object]] = {
    "nothing": lambda _: "",
    "a byte less": lambda good: b64(unb64(good)[:-1]),
    "a byte more": lambda good: b64(unb64(good) + b"\x00"),
    "twice": lambda good: good * 2,
    "60 KB of it": lambda good: "A" * 60_000,
    "with padding": lambda good: good + "=",
    "with a line feed": lambda good: good + "\n",
    "with a space before it": lambda good: " " + good,
    "with a sign of another alphabet": lambda good: "+" + good[1:],
    "with NUL": lambda good: good[:-1] + "\x00",
    "in full width": lambda good: "\uff21" + good[1:],
    "hexadecimal": lambda good: unb64(good).hex(),
}


def hostile(field: str) -> Iterator[tuple[str, str]]:
    """Yield what is sent in a field instead of what should be."""
    make, places = MESSAGES[field]
    good = make()
    for what, spelled in SPELLINGS.items():
        yield what, str(spelled(good))
    for place in places:
        for what, element in NO_ELEMENTS.items():
            message = unb64(good)
            yield f"{what} at {place}", b64(message[:place] + bytes.fromhex(element) + message[place + 32 :])


@pytest.fixture
def faults(person: Person, access_token: str, logged: Callable[[], list[str]]) -> Callable[..., Any]:
    """Send all of it to one route; return what is answered with anything but 400, or gets into the log."""

    async def sent(path: str, field: str, others: dict[str, object]) -> dict[str, object]:
        found: dict[str, object] = {}
        for what, message in hostile(field):
            answer = await person.bearing("POST", path, access_token, json={**others, field: message})
            if (answer.status, answer.body["code"]) != (400, "malformed_opaque_message"):
                found[f"{field}: {what}"] = (answer.status, answer.body)
        assert [line for line in logged() if "unexpected" in line or str(others.get("flow_id", " x ")) in line] == []
        return found

    return sent


BEGINNINGS: list[tuple[str, str, dict[str, object]]] = [
    ("/v1/registration/start", "registration_request", {"username": "somebody"}),
    ("/v1/login/start", "ke1", {"username": "alice"}),
    ("/v1/login/start", "ke1", {"username": "nobody"}),
    ("/v1/reauthentication/start", "ke1", {}),
    ("/v1/password/start", "registration_request", {}),
    ("/v1/recovery/start", "registration_request", {"username": "alice", "recovery_token": "cyv_x"}),
]


async def test_nothing_begins_with_it(faults: Callable[..., Any]) -> None:
    for path, field, others in BEGINNINGS:
        assert await faults(path, field, others) == {}, path


async def test_a_registration_goes_on_after_it(person: Person, faults: Callable[..., Any]) -> None:
    other = Person(person.http, person.url, "bob")
    started, state = await other.start_registration()
    flow = {"flow_id": started.body["flow_id"]}
    assert await faults("/v1/registration/finish", "registration_record", flow) == {}
    assert (await other.finish_registration(started, state)).status == 201


async def test_a_login_and_a_proof_go_on_after_it(
    person: Person, access_token: str, faults: Callable[..., Any]
) -> None:
    started, state = await person.start_login()
    assert await faults("/v1/login/finish", "ke3", {"flow_id": started.body["flow_id"]}) == {}
    assert (await person.post("/v1/login/finish", person.prove(started, state))).status == 200
    started, state = await start_reauthentication(person, access_token)
    assert await faults("/v1/reauthentication/finish", "ke3", {"flow_id": started.body["flow_id"]}) == {}
    proof = proof_of(person, started, state)
    assert (await person.bearing("POST", "/v1/reauthentication/finish", access_token, json=proof)).status == 200


async def test_another_password_and_a_recovery_go_on_after_it(
    person: Person, service: Service, access_token: str, faults: Callable[..., Any]
) -> None:
    user_id = UUID((await person.session(access_token)).body["user_id"])
    started, _ = await start_change(person, access_token)
    flow = {"flow_id": started.body["flow_id"]}
    assert await faults("/v1/password/finish", "registration_record", flow) == {}
    done = {**flow, "registration_record": any_record()}
    assert (await person.bearing("POST", "/v1/password/finish", access_token, json=done)).status == 204
    token = (await people(service.resources).issue_recovery(user_id)).recovery_token
    started, _ = await start_recovery(person, token)
    flow = {"flow_id": started.body["flow_id"]}
    assert await faults("/v1/recovery/finish", "registration_record", flow) == {}
    assert (await finish_recovery(person, {**flow, "registration_record": any_record()})).status == 204
