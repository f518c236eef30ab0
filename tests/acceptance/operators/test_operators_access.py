"""Who may call what on the operators' listener, and what is nowhere else."""

import asyncio
from datetime import timedelta

import pytest

from cypher.auth.service_tokens import Scope
from cypher.config.limits import Category
from cypher.web.operators.routes import ROUTES
from cypher.web.routes import ROUTES as PUBLIC
from cypher.web.routes import Counted, Exempt, Needs
from tests.acceptance.operators.conftest import NO_ID, SCOPED, Desk, OpenDesk, path_of
from tests.acceptance.person import Person

VIEWER, OPERATOR, AUDITOR, CUSTODIAN = Scope.VIEWER, Scope.OPERATOR, Scope.AUDITOR, Scope.KEY_CUSTODIAN
#: Which scopes open a route, each by itself (docs/http.md).
OPENS = {
    ("GET", "/admin/v1/users"): {VIEWER, OPERATOR},
    ("POST", "/admin/v1/users"): {OPERATOR},
    ("GET", "/admin/v1/users/{id}"): {VIEWER, OPERATOR},
    ("DELETE", "/admin/v1/users/{id}"): {OPERATOR},
    ("POST", "/admin/v1/users/{id}/lock"): {OPERATOR},
    ("POST", "/admin/v1/users/{id}/unlock"): {OPERATOR},
    ("POST", "/admin/v1/users/{id}/disable"): {OPERATOR},
    ("POST", "/admin/v1/users/{id}/enable"): {OPERATOR},
    ("POST", "/admin/v1/users/{id}/reset-factors"): {OPERATOR},
    ("POST", "/admin/v1/users/{id}/recovery"): {OPERATOR},
    ("GET", "/admin/v1/users/{id}/sessions"): {OPERATOR},
    ("DELETE", "/admin/v1/users/{id}/sessions"): {OPERATOR},
    ("POST", "/admin/v1/sessions/revoke"): {OPERATOR},
    ("GET", "/admin/v1/rate-limits"): {OPERATOR},
    ("DELETE", "/admin/v1/rate-limits"): {OPERATOR},
    ("GET", "/admin/v1/audit"): {AUDITOR},
    ("GET", "/admin/v1/audit/export"): {AUDITOR},
    ("POST", "/admin/v1/audit/verify"): {AUDITOR},
    ("GET", "/admin/v1/audit/checkpoint"): {AUDITOR},
    ("GET", "/admin/v1/keys"): {VIEWER, CUSTODIAN},
    ("POST", "/admin/v1/keys/rotate"): {CUSTODIAN},
    ("POST", "/admin/v1/keys/{key_id}/destroy"): {CUSTODIAN},
    ("GET", "/admin/v1/reencryption"): {VIEWER, CUSTODIAN},
    ("POST", "/admin/v1/reencryption"): {CUSTODIAN},
}
#: What needs no token: it holds no secret.
OPEN = {"/openapi.json", "/docs", "/health/live", "/health/ready"}
#: How a route answers whose scope is right; a key or a person that is asked for is not there.
REACHED = {200, 201, 202, 204, 404, 409}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_table_is_the_one_that_is_documented() -> None:
    assert {(route.method, route.path) for route in SCOPED} == set(OPENS)
    assert {route.path for route in ROUTES if route.needs is Needs.NOTHING} == OPEN
    assert all(route.path.startswith("/admin/v1/") for route in SCOPED)
    assert all(route.limit is Exempt.GOOD_TOKEN for route in SCOPED)


async def test_every_route_opens_for_its_scopes_and_for_no_other(desk: Desk) -> None:
    for route in SCOPED:
        for scope in Scope:
            answer = await desk.call(route, bearer(await desk.token(scope)))
            if scope in OPENS[route.method, route.path]:
                assert answer.status in REACHED, (route, scope, answer)
            else:
                assert (answer.status, answer.body["code"]) == (403, "insufficient_scope"), (route, scope)


async def test_head_asks_for_what_get_asks_for(desk: Desk) -> None:
    for token, status in (("cys_wrong", 401), (await desk.token(AUDITOR), 403), (await desk.token(VIEWER), 200)):
        assert (await desk.ask("HEAD", "/admin/v1/keys", bearer(token))).status == status


async def test_a_token_of_several_scopes_opens_what_each_of_them_opens(desk: Desk) -> None:
    token = await desk.token(VIEWER, OPERATOR)
    opened = {
        (route.method, route.path) for route in SCOPED if (await desk.call(route, bearer(token))).status in REACHED
    }
    assert opened == {key for key, scopes in OPENS.items() if scopes & {VIEWER, OPERATOR}}


async def test_whoever_brings_no_living_service_token_is_401_on_every_route(
    desk: Desk, http, all_scopes: tuple[str, ...]
) -> None:
    person = Person(http, desk.service.url, "alice")
    await person.register()
    login = (await person.login()).body
    expired = await desk.token(*all_scopes, lifetime=timedelta(days=1))
    revoked = await desk.token(*all_scopes, "introspect")
    await desk.service.services.service_tokens.revoke(desk.ids[revoked])
    await desk.service.execute(f"UPDATE service_tokens SET expires_at = now() WHERE id = '{desk.ids[expired]}'")
    living = await desk.token(*reversed(all_scopes))
    wrong = [
        {},
        {"Authorization": ""},
        {"Authorization": f"Basic {living}"},
        {"Authorization": living},
        {"Cookie": f"Authorization=Bearer {living}; token={living}"},
        *(bearer(token) for token in ("cys_", "cys_" + "A" * 43, living[:-1], living + "A", living.swapcase())),
        *(bearer(token) for token in (expired, revoked, login["access_token"], login["refresh_token"])),
    ]
    for route in SCOPED:
        for headers in wrong:
            answer = await desk.call(route, headers)
            assert (answer.status, answer.body["code"]) == (401, "unauthenticated"), (route, headers)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await desk.call(SCOPED[0], bearer(living))).status == 200


async def test_a_service_token_is_no_access_token(desk: Desk, http, all_scopes: tuple[str, ...]) -> None:
    person = Person(http, desk.service.url, "alice")
    token = await desk.token(*all_scopes)
    asking = [route for route in PUBLIC if route.needs in (Needs.ACCESS_TOKEN, Needs.FRESH)]
    assert asking
    for route in asking:
        answer = await person.bearing(route.method, route.path.replace("{id}", NO_ID), token)
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated"), route


async def test_each_listener_knows_nothing_of_the_others_routes(desk: Desk, http, all_scopes: tuple[str, ...]) -> None:
    token = await desk.token(*all_scopes)
    public = Person(http, desk.service.url, "alice")
    for route in SCOPED:
        assert (await public.bearing(route.method, path_of(route), token)).status == 404, route
    for path in {route.path for route in PUBLIC} - OPEN:
        answer = await desk.ask("GET", path.replace("{id}", NO_ID), bearer(token))
        assert (answer.status, answer.body.get("code", "not_found")) == (404, "not_found")


async def test_a_page_in_a_browser_cannot_call(open_desk: OpenDesk) -> None:
    origin = "https://app.example"
    desk = await open_desk(ALLOWED_ORIGINS=f"{origin},http://127.0.0.1:8090")
    for sender in (origin, "http://127.0.0.1:8090", "null"):
        for route in SCOPED:
            asked = {"Origin": sender, "Access-Control-Request-Method": route.method}
            preflight = await desk.ask("OPTIONS", path_of(route), asked)
            token = await desk.token(*OPENS[route.method, route.path])
            sent = await desk.call(route, bearer(token) | {"Origin": sender})
            for answer in (preflight, sent):
                assert (answer.status, answer.body["code"]) == (403, "origin_not_allowed")
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_who_guesses_at_tokens_is_limited_and_who_has_one_is_not(open_desk: OpenDesk) -> None:
    desk = await open_desk(RATE_LIMIT_DEFAULT_ADDRESS="3/60")
    guesses = [await desk.bearing(f"cys_{number:043}", "GET", "/admin/v1/keys") for number in range(6)]
    assert [guess.status for guess in guesses] == [401, 401, 401, 429, 429, 429]
    assert 0 < int(guesses[-1].headers["Retry-After"]) <= 60
    good = [(await desk.as_("viewer", "GET", "/admin/v1/keys")).status for _ in range(5)]
    assert good == [200] * 5
    forbidden = [(await desk.as_("auditor", "GET", "/admin/v1/keys")).status for _ in range(5)]
    assert forbidden == [403] * 5
    [refused] = await desk.service.audit("abuse.rate_limit.exceeded")
    assert refused["reason"] == "default-address"


async def test_what_needs_no_token_has_a_limit_or_a_reason(open_desk: OpenDesk) -> None:
    desk = await open_desk(RATE_LIMIT_DEFAULT_ADDRESS="2/60")
    for route in ROUTES:
        if route.needs is Needs.NOTHING:
            await desk.operations.limits.reset(Category.DEFAULT_ADDRESS, "127.0.0.1")
            statuses = [(await desk.ask("GET", route.path)).status for _ in range(3)]
            assert statuses == [200, 200, 429 if isinstance(route.limit, Counted) else 200], route


async def test_the_use_of_a_token_is_noted(desk: Desk) -> None:
    token = await desk.token(VIEWER)
    await asyncio.gather(*(desk.bearing(token, "GET", "/admin/v1/keys") for _ in range(3)))
    [used] = await desk.service.services.service_tokens.list_tokens()
    assert used.last_used_at is not None
    assert used.last_used_at >= used.created_at


@pytest.mark.parametrize("path", sorted(OPEN))
async def test_what_is_open_says_the_same_with_and_without_a_token(desk: Desk, path: str) -> None:
    without = await desk.ask("GET", path)
    assert without.status == 200
    assert (await desk.ask("GET", path, bearer("cys_wrong"))).body == without.body
