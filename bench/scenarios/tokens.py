"""Refresh, introspection and registration over HTTP, beside as many requests for a constant by the same client."""

from collections.abc import AsyncIterator
from functools import partial

import msgspec
import opaque_ke_py

from bench.harness import Scenario, Tally, Work
from bench.load import loads
from bench.load.jobs import one_after_another
from bench.logins import Door
from bench.people import PASSWORD, register, seed
from bench.processes import service
from bench.requests import LIVE, get, post_form
from bench.stands import Stands
from cypher.clock import new_bytes
from cypher.crypto import base64url
from cypher.web.schema import (
    ActiveToken,
    Registered,
    RegistrationFinish,
    RegistrationStart,
    RegistrationStarted,
    Tokens,
)

REQUESTS = 64
AT_ONCE = 16


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    # Of their own: a refresh token that others have used before would be a theft.
    people = await seed(stand.open_, REQUESTS)
    _, service_token = await stand.services.service_tokens.create("bench", frozenset({"introspect"}), None)
    # Any record of the right form is taken: whose password it holds, the server cannot know.
    record = base64url.encode(register(stand.open_).record)
    async with service(stand.settings, stand.folder) as running, loads(stand.folder) as load:
        door = Door(running, load, AT_ONCE)
        scenario = partial(Scenario, size=REQUESTS, cpu=running.cpu, rounds=5, warm_up=3)
        for name, work, steps in (
            ("refresh", Refreshing(door, [person.refresh_token for person in people]).turn, 1),
            ("introspection", introspecting(door, service_token, [person.access_token for person in people]), 1),
            ("registration", registering(door, record), 2),
        ):
            constants = _constants(door, steps)
            yield scenario(name=name, work=work, floor=constants, floor_name=f"{steps} GET {LIVE}")


class Refreshing:
    """Holders of refresh tokens, which change with each use."""

    def __init__(self, door: Door, tokens: list[str]) -> None:
        self._door = door
        self._tokens = tokens

    async def turn(self) -> Tally:
        """Exchange every token."""
        door = self._door
        requests = [post_form("/oauth/token", grant_type="refresh_token", refresh_token=each) for each in self._tokens]
        outcome = await door.load.each(door.running.port, requests, at_once=door.at_once)
        before, self._tokens = set(self._tokens), [_refresh_token(body) for body in outcome.bodies]
        assert not before & set(self._tokens)
        return outcome.tally()


def _refresh_token(body: bytes) -> str:
    token = msgspec.json.decode(body, type=Tokens).refresh_token
    assert isinstance(token, str)
    return token


def introspecting(door: Door, bearer: str, tokens: list[str]) -> Work:
    requests = [post_form("/oauth/introspect", bearer, token=token) for token in tokens]

    async def introspect() -> Tally:
        outcome = await door.load.each(door.running.port, requests, at_once=door.at_once)
        for body in outcome.bodies:
            msgspec.json.decode(body, type=ActiveToken)
        return outcome.tally()

    return introspect


def registering(door: Door, record: str) -> Work:
    """Register people whose clients have computed everything before."""
    request = base64url.encode(bytes(opaque_ke_py.client_registration_start(PASSWORD.encode()).get_message()))

    async def register() -> Tally:
        names = [f"new-{new_bytes(8).hex()}" for _ in range(REQUESTS)]
        started = await door.send(
            "/v1/registration/start",
            [RegistrationStart(username=name, registration_request=request) for name in names],
        )
        flows = [msgspec.json.decode(body, type=RegistrationStarted).flow_id for body in started.bodies]
        finished = await door.send(
            "/v1/registration/finish",
            [RegistrationFinish(flow_id=flow_id, registration_record=record) for flow_id in flows],
            status=201,
        )
        assert [msgspec.json.decode(body, type=Registered).user.username for body in finished.bodies] == names
        return one_after_another([started, finished])

    return register


def _constants(door: Door, steps: int) -> Work:
    async def ask() -> Tally:
        requests = [get(LIVE)] * REQUESTS
        return one_after_another(
            [await door.load.each(door.running.port, requests, at_once=door.at_once) for _ in range(steps)]
        )

    return ask
