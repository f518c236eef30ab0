"""Who may do what: every route of the table, asked by everybody in every state.

A new route needs a line in TABLE, and says there what its owner is answered and what somebody else is who names what is
the owner's. The rest follows from what the route needs.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from cypher.auth.recovery_tokens import new_recovery_token
from cypher.operating import people
from cypher.web.routes import ROUTES, Needs, Route
from tests.acceptance.authenticator import enrol, proof_of, prove, start_reauthentication
from tests.acceptance.new_passwords import any_record, any_request, begin_change, id_of
from tests.acceptance.person import Answer, Person, b64

Request = dict[str, Any]
STALE = "UPDATE user_sessions SET authenticated_at = authenticated_at - INTERVAL '10 minutes'"
#: What a route may change of somebody.
ROWS = (
    "SELECT u::text FROM users u ORDER BY id",
    "SELECT session_id, revoked_at FROM user_sessions ORDER BY session_id",
    "SELECT r::text FROM recovery_codes r ORDER BY code_hash",
    "SELECT t::text FROM recovery_tokens t ORDER BY token_hash",
    "SELECT id, name, trusted_until, revoked_at FROM devices ORDER BY id",
)
numbers = count()


@dataclass
class Scene:
    """Somebody with two sessions, the second on a device, and what was begun with the first one."""

    service: Any
    person: Person
    login: dict
    other_session: str
    device: str
    token: str | None = None  #: what the caller brings

    @classmethod
    async def of(cls, service: Any, http: Any) -> "Scene":
        person = Person(http, service.url, f"person-{next(numbers)}")
        assert (await person.register()).status == 201
        login, other = (await person.login()).body, (await person.login(device={"fingerprint": "print"})).body
        session = other["session"]
        return cls(service, person, login, session["id"], session["device_id"], login["access_token"])

    async def ask(self, route: Route, request: Request) -> Answer:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        path = route.path.replace("{id}", self.device if "/devices/" in route.path else self.other_session)
        return await self.person.ask(route.method, path, headers=headers, **request)


Build = Callable[[Scene], Awaitable[Request]]


@dataclass(frozen=True)
class Row:
    """What a route answers to the owner of a fresh session, to somebody else, and what it is sent."""

    owner: int
    another: int | None = None  #: None where a request names nothing of the owner
    over: int = 401  #: with a token of a session that is over
    sends: Request | Build = field(default_factory=dict)

    async def request(self, scene: Scene) -> Request:
        return self.sends if isinstance(self.sends, dict) else await self.sends(scene)


async def a_proof(scene: Scene) -> Request:
    token = scene.login["access_token"]
    return {"json": proof_of(scene.person, *await start_reauthentication(scene.person, token))}


async def a_new_password(scene: Scene) -> Request:
    return {"json": await begin_change(scene.person, scene.login["access_token"])}


async def a_rename(scene: Scene) -> Request:
    return {"json": {"username": f"another-{next(numbers)}"}}


async def a_refresh(scene: Scene) -> Request:
    return {"data": {"grant_type": "refresh_token", "refresh_token": "cyr_unknown"}}


FLOW = "x" * 43
FINISH = {"json": {"flow_id": FLOW, "registration_record": any_record()}}
KE1 = b64(bytes(96))
START = {"username": "nobody", "registration_request": any_request()}
FORM = {"data": {"token": "unknown"}}

TABLE = {
    ("GET", "/v1/config"): Row(200),
    ("POST", "/v1/registration/start"): Row(200, sends={"json": START}),
    ("POST", "/v1/registration/finish"): Row(410, sends=FINISH),
    ("POST", "/v1/login/start"): Row(400, sends={"json": {"username": "nobody", "ke1": KE1}}),
    ("POST", "/v1/login/finish"): Row(410, sends={"json": {"flow_id": FLOW, "ke3": b64(bytes(64))}}),
    ("POST", "/v1/login/mfa"): Row(410, sends={"json": {"mfa_token": FLOW, "method": "totp", "code": "123456"}}),
    ("GET", "/v1/session"): Row(200),
    ("DELETE", "/v1/session"): Row(204, over=204),  # asked again, a logout is still one
    ("GET", "/v1/sessions"): Row(200),
    ("DELETE", "/v1/sessions"): Row(200, sends={"params": {"scope": "others"}}),
    ("DELETE", "/v1/sessions/{id}"): Row(204, another=404),
    ("POST", "/v1/reauthentication/start"): Row(400, sends={"json": {"ke1": KE1}}),
    ("POST", "/v1/reauthentication/finish"): Row(200, another=410, sends=a_proof),
    ("GET", "/v1/factors"): Row(200),
    ("POST", "/v1/factors/totp"): Row(201),
    ("POST", "/v1/factors/totp/confirm"): Row(410, sends={"json": {"code": "123456"}}),
    ("DELETE", "/v1/factors/totp"): Row(204),
    ("POST", "/v1/recovery-codes"): Row(404),
    ("POST", "/v1/password/start"): Row(200, sends={"json": {"registration_request": any_request()}}),
    ("POST", "/v1/password/finish"): Row(204, another=410, sends=a_new_password),
    ("GET", "/v1/account"): Row(200),
    ("PATCH", "/v1/account"): Row(200, sends=a_rename),
    ("DELETE", "/v1/account"): Row(204),
    ("GET", "/v1/account/activity"): Row(200),
    ("GET", "/v1/account/export"): Row(200),
    ("GET", "/v1/devices"): Row(200),
    ("PATCH", "/v1/devices/{id}"): Row(200, another=404, sends={"json": {"name": "kitchen"}}),
    ("DELETE", "/v1/devices/{id}"): Row(204, another=404),
    ("POST", "/v1/recovery/request"): Row(202, sends={"json": {"username": "nobody"}}),
    ("POST", "/v1/recovery/start"): Row(200, sends={"json": {**START, "recovery_token": new_recovery_token()}}),
    ("POST", "/v1/recovery/finish"): Row(410, sends=FINISH),
    ("POST", "/oauth/token"): Row(400, sends=a_refresh),
    ("POST", "/oauth/introspect"): Row(401, sends=FORM),  # asks for a service token, which no person has
    ("POST", "/oauth/revoke"): Row(200, sends=FORM),
    ("GET", "/.well-known/jwks.json"): Row(200),
    ("GET", "/openapi.json"): Row(200),
    ("GET", "/docs"): Row(200),
    ("GET", "/health/live"): Row(200),
    ("GET", "/health/ready"): Row(200),
}


def test_every_route_has_a_line_and_every_line_a_route() -> None:
    assert set(TABLE) == {(route.method, route.path) for route in ROUTES}


def row_of(route: Route) -> Row:
    return TABLE[route.method, route.path]


async def rows(service: Any) -> list[Any]:
    return [await service.fetch(query) for query in ROWS]


# -- who may not come in ------------------------------------------------------------------------------------


async def anonymous(scene: Scene) -> None:
    scene.token = None


async def with_the_password_only(scene: Scene) -> None:
    _, codes = await enrol(scene.person, scene.login["access_token"], scene.service.resources.clock)
    asked = await scene.person.login()
    scene.token = asked.body["mfa_token"]
    assert codes


async def logged_out(scene: Scene) -> None:
    assert (await scene.person.bearing("DELETE", "/v1/session", scene.login["access_token"])).status == 204


async def disabled(scene: Scene) -> None:
    await people(scene.service.resources).disable(id_of(scene.login))


async def locked(scene: Scene) -> None:
    await people(scene.service.resources).lock(id_of(scene.login), lifetime=timedelta(hours=1))


async def deleted(scene: Scene) -> None:
    await people(scene.service.resources).delete(id_of(scene.login))


WITHOUT_A_TOKEN = (anonymous, with_the_password_only)


@pytest.mark.parametrize("state", [*WITHOUT_A_TOKEN, logged_out, disabled, locked, deleted])
async def test_who_may_not_come_in_opens_nothing(service, http, state: Callable[[Scene], Awaitable[None]]) -> None:
    scene = await Scene.of(service, http)
    requests = [(route, await row_of(route).request(scene)) for route in ROUTES]
    assert (await scene.person.session(scene.login["access_token"])).status == 200  # it is cached
    await state(scene)
    before = await rows(service)
    for route, request in requests:
        answer = await scene.ask(route, request)
        refused = 401 if state in WITHOUT_A_TOKEN else row_of(route).over
        expected = row_of(route).owner if route.needs is Needs.NOTHING else refused
        assert answer.status == expected, (route.method, route.path, answer.body)
        # A public route is answered the same, whoever asks; nothing is changed for anybody.
        assert await rows(service) == before, (route.method, route.path)


async def test_half_a_login_opens_its_own_second_step_and_nothing_else(service, http) -> None:
    scene = await Scene.of(service, http)
    _, codes = await enrol(scene.person, scene.login["access_token"], service.resources.clock)
    asked = await scene.person.login()
    token = asked.body["mfa_token"]
    for path, body in (
        ("/v1/login/finish", {"flow_id": token, "ke3": b64(bytes(64))}),
        ("/v1/registration/finish", {"flow_id": token, "registration_record": any_record()}),
        ("/v1/recovery/finish", {"flow_id": token, "registration_record": any_record()}),
    ):
        assert (await scene.person.post(path, body)).status == 410
    for path, body in (
        ("/v1/password/finish", {"flow_id": token, "registration_record": any_record()}),
        ("/v1/reauthentication/finish", {"flow_id": token, "ke3": b64(bytes(64))}),
    ):
        answer = await scene.person.bearing("POST", path, scene.login["access_token"], json=body)
        assert answer.status in (403, 410)
    assert (await scene.person.refresh(token)).status == 400
    assert (await prove(scene.person, asked, codes[0], "recovery_code")).status == 200


# -- who may --------------------------------------------------------------------------------------------------


async def test_a_fresh_session_may_do_all_that_is_its_owners(service, http) -> None:
    for route in ROUTES:
        scene = await Scene.of(service, http)
        answer = await scene.ask(route, await row_of(route).request(scene))
        assert answer.status == row_of(route).owner, (route.method, route.path, answer.body)


async def test_a_stale_session_may_read_and_end_but_change_nothing_that_needs_a_fresh_proof(service, http) -> None:
    for route in ROUTES:
        scene = await Scene.of(service, http)
        request = await row_of(route).request(scene)
        await service.execute(STALE)
        before = await rows(service)
        answer = await scene.ask(route, request)
        if route.needs is Needs.FRESH:
            assert (answer.status, answer.body["code"]) == (403, "reauthentication_required"), route.path
            assert await rows(service) == before
        elif route.path != "/v1/reauthentication/finish":
            assert answer.status == row_of(route).owner, (route.method, route.path, answer.body)


async def test_somebody_else_reaches_nothing_of_it(service, http) -> None:
    mallory = await Scene.of(service, http)
    for route in ROUTES:
        if row_of(route).another is None:
            continue
        owner = await Scene.of(service, http)
        request = await row_of(route).request(owner)
        before = await rows(service)
        owner.token = mallory.login["access_token"]
        answer = await owner.ask(route, request)
        assert answer.status == row_of(route).another, (route.method, route.path, answer.body)
        assert await rows(service) == before
        assert (await owner.person.session(owner.login["access_token"])).status == 200


async def test_what_is_shown_is_ones_own(service, http) -> None:
    owner, mallory = await Scene.of(service, http), await Scene.of(service, http)
    secrets = {owner.person.username, owner.login["session"]["id"], owner.other_session, str(id_of(owner.login))}
    for route in ROUTES:
        if route.method == "GET":
            answer = await mallory.ask(route, await row_of(route).request(mallory))
            assert not [secret for secret in secrets if secret in str(answer.body)], route.path


async def test_a_route_that_needs_a_session_says_so_in_its_line() -> None:
    # What is public is answered to everybody as to the owner; what is not must have an owner who is let in.
    for route in ROUTES:
        if route.needs in (Needs.ACCESS_TOKEN, Needs.FRESH):
            assert row_of(route).owner not in (401, 403), (route.method, route.path)
