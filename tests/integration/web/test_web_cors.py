"""What a browser may do for a page of another origin."""

import json
from collections.abc import Awaitable, Callable

import pytest
from web_fakes import ACCESS_TOKEN, SESSION_ID, Fakes, Running

from cypher.web.body import MAX_BODY
from cypher.web.routes import ROUTES

APP = "https://app.example"
OTHERS = (
    "https://evil.example",
    "https://app.example.evil.example",
    "https://xapp.example",
    "https://APP.example",
    "https://app.example:8443",
    "https://app.example/",
    "http://app.example",
    "null",
    "*",
    "",
)
BEARER = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
Headers = dict[str, str]


@pytest.fixture
async def running(serve: Callable[..., Awaitable[Running]]) -> Running:
    return await serve(allowed_origins=frozenset({APP, "http://localhost:3000"}))


async def _ask(running: Running, method: str, path: str, **options: object) -> tuple[int, Headers, bytes]:
    async with running.client.request(method, running.url(path), **options) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read()


async def _preflight(running: Running, path: str, origin: str = APP, method: str = "GET") -> tuple[int, Headers, bytes]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return await _ask(running, "OPTIONS", path, headers=asked)


def _cors(headers: Headers) -> set[str]:
    return {name for name in headers if name.startswith("access-control-")}


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
async def test_every_route_answers_a_preflight_with_its_methods(running: Running, fakes: Fakes, path: str):
    status, headers, body = await _preflight(running, path.replace("{id}", str(SESSION_ID)))
    methods = {route.method for route in ROUTES if route.path == path}
    assert status == 204
    assert headers["access-control-allow-origin"] == APP
    assert set(headers["access-control-allow-methods"].split(", ")) - {"HEAD"} == methods
    assert headers["access-control-allow-headers"] == "Authorization, Content-Type, X-Request-Id"
    assert headers["access-control-max-age"] == "600"
    assert headers["vary"] == "Origin"
    assert "x-request-id" in headers
    assert body == b""
    assert fakes.calls == []


@pytest.mark.parametrize("origin", OTHERS)
async def test_a_preflight_of_another_origin_is_refused(running: Running, origin: str):
    for path in ("/v1/session", "/nowhere"):
        status, headers, body = await _preflight(running, path, origin)
        assert (status, json.loads(body)["code"]) == (403, "origin_not_allowed")
        assert _cors(headers) == set()
        assert headers["vary"] == "Origin"


async def test_without_the_setting_every_preflight_is_refused(serve: Callable[..., Awaitable[Running]]):
    running = await serve(public_origin=APP)
    status, headers, _ = await _preflight(running, "/v1/session")
    assert status == 403
    assert _cors(headers) == set()
    status, headers, _ = await _ask(running, "GET", "/v1/session", headers=BEARER | {"Origin": APP})
    assert status == 200
    assert _cors(headers) == set()


async def test_a_preflight_for_what_is_not_there_says_so_to_the_page(running: Running):
    status, headers, body = await _preflight(running, "/nowhere")
    assert (status, json.loads(body)["code"]) == (404, "not_found")
    assert headers["access-control-allow-origin"] == APP


async def test_options_without_a_preflights_headers_is_any_other_method(running: Running):
    for sent in ({}, {"Origin": APP}, {"Access-Control-Request-Method": "GET"}):
        status, headers, _ = await _ask(running, "OPTIONS", "/v1/session", headers=sent)
        assert status == 405
        assert "access-control-allow-methods" not in headers


async def test_a_page_of_an_allowed_origin_reads_answer_and_headers(running: Running):
    status, headers, _ = await _ask(running, "GET", "/v1/session", headers=BEARER | {"Origin": APP})
    assert status == 200
    assert headers["access-control-allow-origin"] == APP
    exposed = set(headers["access-control-expose-headers"].split(", "))
    assert exposed == {"X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"}
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", OTHERS)
async def test_a_page_of_another_origin_reads_nothing(running: Running, origin: str):
    status, headers, _ = await _ask(running, "GET", "/v1/session", headers=BEARER | {"Origin": origin})
    assert status == 200
    assert _cors(headers) == set()
    assert headers["vary"] == "Origin"


async def test_two_origins_are_none(running: Running):
    sent = f"GET /v1/config HTTP/1.1\r\nHost: x\r\nOrigin: {APP}\r\nOrigin: {APP}\r\n\r\n"
    [answer] = await running.send(sent.encode())
    assert answer.status == 200
    assert _cors(answer.headers) == set()


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v1/session", {}, 401),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/v1/session", {}, 405),
        ("PUT", "/oauth/token", {}, 405),
        ("POST", "/v1/login/start", {"data": b"{"}, 415),
        ("POST", "/v1/login/start", {"json": {}}, 422),
        ("POST", "/v1/login/start", {"json": {"username": "a" * MAX_BODY}}, 413),
        ("POST", "/oauth/token", {"data": {"a": "b"}}, 400),
    ],
)
async def test_a_page_reads_what_went_wrong(
    running: Running, method: str, path: str, options: dict[str, object], status: int
):
    answered, headers, body = await _ask(running, method, path, headers={"Origin": APP}, **options)
    assert answered == status
    assert headers["access-control-allow-origin"] == APP
    assert json.loads(body)


async def test_a_page_reads_that_something_is_away(running: Running, fakes: Fakes):
    fakes.failure = RuntimeError()
    status, headers, _ = await _ask(running, "GET", "/v1/session", headers=BEARER | {"Origin": APP})
    assert status == 503
    assert headers["access-control-allow-origin"] == APP
    assert "Retry-After" in headers["access-control-expose-headers"]


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_cookies_never_cross_origins(running: Running, method: str):
    asked = {"Origin": APP, "Access-Control-Request-Method": "GET", "Cookie": "a=b"}
    _, headers, _ = await _ask(running, method, "/v1/config", headers=asked)
    assert "access-control-allow-origin" in headers
    assert "access-control-allow-credentials" not in headers


async def test_an_answer_without_an_origin_says_that_others_differ(running: Running):
    _, headers, _ = await _ask(running, "GET", "/v1/config")
    assert headers["vary"] == "Origin"
    assert _cors(headers) == set()
