"""Every route has a limit or a reason to have none, and is held to it."""

import pytest
from test_web_routes import BEARER, BODIES, CREDENTIALS, each_route
from web_fakes import SESSION_ID, Fakes, Running

from cypher.config.limits import Category
from cypher.errors import AccessTokenEnded, CypherError, SessionExpired, Unauthenticated
from cypher.web.routes import TABLE, Counted, Exempt, Route

#: What backends and orchestrators ask from one address, and nothing else (docs/security.md).
EXEMPT = {
    ("GET", "/v1/session"): Exempt.GOOD_TOKEN,
    ("POST", "/oauth/introspect"): Exempt.GOOD_TOKEN,
    ("GET", "/.well-known/jwks.json"): Exempt.PUBLIC_KEY,
    ("GET", "/health/live"): Exempt.PROBE,
    ("GET", "/health/ready"): Exempt.PROBE,
}
CATEGORIES = {
    ("POST", "/v1/registration/start"): Category.REGISTRATION_ADDRESS,
    ("PATCH", "/v1/account"): Category.REGISTRATION_ADDRESS,
    ("POST", "/oauth/token"): Category.REFRESH_ADDRESS,
    ("POST", "/v1/recovery/request"): Category.RECOVERY_ADDRESS,
}
GOOD_TOKEN = [key for key, reason in EXEMPT.items() if reason is Exempt.GOOD_TOKEN]


async def call(running: Running, method: str, path: str, **options: object) -> tuple[int, dict[str, str]]:
    url = running.url(path.replace("{id}", str(SESSION_ID)))
    async with running.client.request(method, url, **{**BODIES.get(path, {}), **options}) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}


async def test_every_route_that_is_served_has_a_limit_or_a_reason(running: Running):
    served = {
        (route.method, route.resource.canonical) for route in running.app.router.routes() if route.resource is not None
    }
    rules = {key: route.limit for key, route in running.app[TABLE].items()}
    assert served
    assert served == set(rules)
    assert all(isinstance(rule, Counted | Exempt) for rule in rules.values())
    assert {key: rule for key, rule in rules.items() if isinstance(rule, Exempt) and key[0] != "HEAD"} == EXEMPT
    assert [key for key, rule in rules.items() if rule is Counted.BY_LOGIN] == [("POST", "/v1/login/start")]


@each_route
async def test_every_route_counts_what_the_table_says(running: Running, fakes: Fakes, route: Route):
    status, _ = await call(running, route.method, route.path, headers=CREDENTIALS[route.needs])
    assert status < 300
    if route.limit is Counted.BY_LOGIN or (route.method, route.path) in EXEMPT:
        assert fakes.counted == []
    else:
        assert fakes.counted == [CATEGORIES.get((route.method, route.path), Category.DEFAULT_ADDRESS)]


@each_route
async def test_over_its_limit_a_route_asks_no_use_case(running: Running, fakes: Fakes, route: Route):
    fakes.over_the_limit = True
    status, headers = await call(running, route.method, route.path, headers=CREDENTIALS[route.needs])
    if route.limit is Counted.BY_LOGIN or (route.method, route.path) in EXEMPT:
        assert status == 200
        return
    assert status == 429
    assert fakes.calls == []
    assert headers["retry-after"] == "60"
    assert headers["ratelimit-policy"] == '"some";q=5;w=3600'
    assert headers["ratelimit"] == '"some";r=0;t=60'


async def test_head_counts_as_get(running: Running, fakes: Fakes):
    assert (await call(running, "HEAD", "/v1/config"))[0] == 200
    assert (await call(running, "HEAD", "/v1/session", headers={"Authorization": "Bearer bad"}))[0] == 401
    assert fakes.counted == [Category.DEFAULT_ADDRESS, "bad token"]


async def test_what_meets_no_route_is_not_counted(running: Running, fakes: Fakes):
    assert (await call(running, "GET", "/v1/nothing"))[0] == 404
    assert (await call(running, "PUT", "/v1/config"))[0] == 405
    assert fakes.counted == []


@pytest.mark.parametrize(("method", "path"), GOOD_TOKEN)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer bad"}])
async def test_a_token_that_was_never_ours_is_counted_and_then_refused(
    running: Running, fakes: Fakes, method: str, path: str, headers: dict[str, str]
):
    assert (await call(running, method, path, headers=headers))[0] == 401
    fakes.over_the_limit = True
    status, answered = await call(running, method, path, headers=headers)
    assert (status, answered["retry-after"]) == (429, "60")
    assert fakes.counted == ["bad token"] * 2


@pytest.mark.parametrize("error", [SessionExpired, AccessTokenEnded])
async def test_a_token_that_was_ours_is_never_counted(running: Running, fakes: Fakes, error: type[CypherError]):
    fakes.over_the_limit = True
    fakes.failure = error()
    status, headers = await call(running, "GET", "/v1/session", headers=BEARER)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert fakes.counted == []


def test_an_ended_token_is_to_its_sender_any_other_bad_token():
    assert (AccessTokenEnded.code, AccessTokenEnded.message()) == (Unauthenticated.code, Unauthenticated.message())
