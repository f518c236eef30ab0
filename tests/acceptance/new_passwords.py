"""The steps of another password, and of recovery, each by itself, so that tests can race them."""

from functools import cache
from typing import Any
from uuid import UUID

import opaque_ke_py as opaque

from tests.acceptance.person import Answer, Person, b64, unb64

NEW = b"another horse another battery"


def id_of(login: dict[str, Any]) -> UUID:
    """Return whose session a login has made."""
    return UUID(login["session"]["user_id"])


async def opens(person: Person, password: bytes) -> bool:
    """Tell whether a password is the person's; leaves a session behind if it is."""
    same = Person(person.http, person.url, person.username, password)
    started, state = await same.start_login()
    try:
        proof = same.prove(started, state)
    except ValueError:
        return False
    return (await same.post("/v1/login/finish", proof)).status == 200


@cache
def any_request() -> str:
    """A registration request of nobody in particular."""
    return b64(opaque.client_registration_start(b"x").get_message())


@cache
def any_ke1() -> str:
    """A KE1 of nobody in particular."""
    return b64(opaque.client_login_start(b"x").get_message())


@cache
def any_record() -> str:
    """A record that can be stored, and that no password of a test fits."""
    client = opaque.client_registration_start(b"x")
    started = opaque.server_registration_start(opaque.server_setup(), client.get_message(), bytes(16))
    finished = opaque.client_registration_finish(b"x", client.get_state(), bytes(started.get_message()))
    return b64(finished.get_message())


async def start_change(person: Person, access_token: str, password: bytes = NEW) -> tuple[Answer, bytes]:
    client = opaque.client_registration_start(password)
    request = {"registration_request": b64(client.get_message())}
    return await person.bearing("POST", "/v1/password/start", access_token, json=request), client.get_state()


def record_of(started: Answer, state: bytes, password: bytes = NEW) -> dict[str, Any]:
    """Return the body of a finish."""
    assert started.status == 200, started.body
    response = unb64(started.body["registration_response"])
    record = opaque.client_registration_finish(password, state, response).get_message()
    return {"flow_id": started.body["flow_id"], "registration_record": b64(record)}


async def finish_change(person: Person, access_token: str, body: dict[str, Any]) -> Answer:
    return await person.bearing("POST", "/v1/password/finish", access_token, json=body)


async def begin_change(person: Person, access_token: str, password: bytes = NEW) -> dict[str, Any]:
    """Return the body that finishes a change."""
    return record_of(*await start_change(person, access_token, password), password)


async def change(person: Person, access_token: str, password: bytes = NEW, **extra: Any) -> Answer:
    """Change the password, also of `person`."""
    body = await begin_change(person, access_token, password)
    answer = await finish_change(person, access_token, body | extra)
    if answer.status == 204:
        person.password = password
    return answer


async def start_recovery(
    person: Person, token: str, password: bytes = NEW, username: str | None = None
) -> tuple[Answer, bytes]:
    client = opaque.client_registration_start(password)
    request = {
        "username": username or person.username,
        "recovery_token": token,
        "registration_request": b64(client.get_message()),
    }
    return await person.post("/v1/recovery/start", request), client.get_state()


async def begin_recovery(person: Person, token: str, password: bytes = NEW, username: str | None = None) -> Any:
    """Return the body that finishes a recovery."""
    return record_of(*await start_recovery(person, token, password, username), password)


async def finish_recovery(person: Person, body: dict[str, Any]) -> Answer:
    return await person.post("/v1/recovery/finish", body)


async def recover(person: Person, token: str, password: bytes = NEW) -> Answer:
    """Recover the account, also for `person`."""
    answer = await finish_recovery(person, await begin_recovery(person, token, password))
    if answer.status == 204:
        person.password = password
    return answer
