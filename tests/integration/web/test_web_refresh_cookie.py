"""The refresh token in a cookie: given to our own origin, taken from it, never beside another token."""

import json
from collections.abc import Awaitable, Callable
from http.cookies import Morsel, SimpleCookie

import pytest
from web_fakes import ACCESS_TOKEN, Fakes, Raw, Running

from cypher.auth.begun import LoginOptions
from cypher.errors import InvalidGrant, PostgresUnavailable, SessionExpired
from cypher.web.encoding import to_base64url

OWN = "https://auth.example"
NAME = "__Secure-cypher_refresh"
COOKIE = f"Cookie: {NAME}=cyr_0"
FORM = "grant_type=refresh_token"
FINISH = {"flow_id": "flow", "ke3": to_base64url(bytes(64))}
MFA = {"mfa_token": "mfa", "method": "totp", "code": "123456"}


@pytest.fixture
async def running(serve: Callable[..., Awaitable[Running]]) -> Running:
    return await serve(public_origin=OWN, allowed_origins=frozenset({"https://app.example"}))


async def _post(running: Running, path: str, body: str, *headers: str, kind: str = "application/json") -> Raw:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    [answer] = await running.send("\r\n".join([*lines, "", body]).encode())
    return answer


async def _refresh(running: Running, *headers: str, more: str = "") -> Raw:
    return await _post(running, "/oauth/token", FORM + more, *headers, kind="application/x-www-form-urlencoded")


def _cookie(answer: Raw) -> Morsel[str] | None:
    """Return the cookie that an answer sets; its attributes are those of the contract."""
    if "set-cookie" not in answer.headers:
        return None
    [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
    assert name == NAME
    assert (morsel["path"], morsel["samesite"], morsel["domain"]) == ("/oauth/token", "Strict", "")
    assert morsel["secure"]
    assert morsel["httponly"]
    return morsel


# -- given --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [f"Origin: {OWN}", "X-Other: 1"])
async def test_a_login_that_asks_for_the_cookie_has_the_token_there_and_not_in_the_body(
    running: Running, fakes: Fakes, origin: str
):
    fakes.begun_with = LoginOptions(refresh_cookie=True)
    for path, body in (("/v1/login/finish", FINISH | {"refresh_cookie": True}), ("/v1/login/mfa", MFA)):
        answer = await _post(running, path, json.dumps(body), origin)
        assert answer.status == 200
        cookie = _cookie(answer)
        assert cookie is not None
        assert (cookie.value, cookie["max-age"], cookie["expires"]) == ("cyr_1", "", "")
        assert "refresh_token" not in answer.json()
        assert answer.json()["access_token"] == ACCESS_TOKEN


async def test_a_login_that_does_not_ask_for_it_has_the_token_in_the_body(running: Running):
    for path, body in (
        ("/v1/login/finish", FINISH),
        ("/v1/login/finish", FINISH | {"refresh_cookie": False}),
        ("/v1/login/mfa", MFA),
    ):
        answer = await _post(running, path, json.dumps(body), f"Origin: {OWN}")
        assert (answer.json()["refresh_token"], _cookie(answer)) == ("cyr_1", None)


@pytest.mark.parametrize(
    "origin", ["https://app.example", "https://evil.example", "null", "", f"{OWN}/", "http://auth.example"]
)
async def test_a_page_of_another_origin_keeps_its_token_itself(running: Running, fakes: Fakes, origin: str):
    """Or it could leave a session of its own choice in a visitor's browser."""
    fakes.begun_with = LoginOptions(refresh_cookie=True)
    for path, body in (("/v1/login/finish", FINISH | {"refresh_cookie": True}), ("/v1/login/mfa", MFA)):
        answer = await _post(running, path, json.dumps(body), f"Origin: {origin}")
        assert (answer.json()["refresh_token"], _cookie(answer)) == ("cyr_1", None)


async def test_a_choice_of_a_wrong_form_is_refused(running: Running, fakes: Fakes):
    for wrong in ("true", 1, None):
        answer = await _post(running, "/v1/login/finish", json.dumps(FINISH | {"refresh_cookie": wrong}))
        assert (answer.status, answer.json()["errors"]) == (422, [{"pointer": "/refresh_cookie", "code": "invalid"}])
    assert fakes.calls == []


# -- taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cookie",
    [
        COOKIE,
        f"Cookie: a=b; {NAME}=cyr_0; c",
        f"Cookie: a=b\r\n{COOKIE}",
        f"Cookie:  {NAME} =  cyr_0 ;",
        f"Cookie: {NAME.lower()}=other; {NAME}=cyr_0; x{NAME}=other",
    ],
)
async def test_the_cookie_is_exchanged_for_a_cookie(running: Running, fakes: Fakes, cookie: str):
    for more in ("", "&refresh_token="):  # a parameter without a value is none
        answer = await _refresh(running, cookie, f"Origin: {OWN}", more=more)
        assert answer.status == 200
        assert answer.json() == {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300}
        set_cookie = _cookie(answer)
        assert set_cookie is not None
        assert (set_cookie.value, set_cookie["max-age"]) == ("cyr_2", "")
        assert fakes.calls[-1][:2] == ("tokens.refresh", "cyr_0")


async def test_a_token_in_the_body_needs_no_origin_and_sets_no_cookie(running: Running, fakes: Fakes):
    for headers in ((), ("Origin: https://app.example",), ("Cookie: a=b",)):
        answer = await _refresh(running, *headers, more="&refresh_token=cyr_9")
        assert (answer.status, answer.json()["refresh_token"], _cookie(answer)) == (200, "cyr_2", None)
    assert {call[:2] for call in fakes.calls} == {("tokens.refresh", "cyr_9")}


@pytest.mark.parametrize(
    "origin",
    [
        (),
        ("Origin: https://app.example",),
        ("Origin: https://evil.example",),
        ("Origin: null",),
        ("Origin: ",),
        (f"Origin: {OWN}/",),
        (f"Origin: {OWN}:443",),
        (f"Origin: {OWN.upper()}",),
        ("Origin: http://auth.example",),
        (f"Origin: {OWN}.evil.example",),
        (f"Origin: {OWN}", f"Origin: {OWN}"),
        (f"Origin: {OWN}, {OWN}",),
        (f"Referer: {OWN}/",),
    ],
)
async def test_the_cookie_works_from_our_own_origin_only(running: Running, fakes: Fakes, origin: tuple[str, ...]):
    answer = await _refresh(running, COOKIE, *origin)
    assert (answer.status, answer.json()["error"], _cookie(answer)) == (403, "origin_not_allowed", None)
    assert fakes.calls == []


@pytest.mark.parametrize(
    ("cookie", "more"),
    [
        (COOKIE, "&refresh_token=cyr_9"),
        (COOKIE, "&refresh_token=cyr_0"),
        (f"Cookie: {NAME}=", "&refresh_token=cyr_9"),
        (f"{COOKIE}; {NAME}=cyr_0", ""),
        (f"{COOKIE}; {NAME}=planted", ""),
        (f"{COOKIE}\r\nCookie: {NAME}=planted", ""),
        (f"Cookie: {NAME}; {NAME}=cyr_0", ""),
        (f"{COOKIE}; {NAME}=x", "&refresh_token=cyr_9"),
        ("Cookie: a=b", ""),
        ("Cookie: ", ""),
    ],
)
async def test_there_is_one_token_in_a_request(running: Running, fakes: Fakes, cookie: str, more: str):
    for origin in (f"Origin: {OWN}", "Origin: https://evil.example"):
        answer = await _refresh(running, cookie, origin, more=more)
        assert (answer.status, answer.json()["error"], _cookie(answer)) == (400, "invalid_request", None)
    assert fakes.calls == []


# -- forgotten ----------------------------------------------------------------------------------------------


def _is_cleared(answer: Raw) -> bool:
    cookie = _cookie(answer)
    return cookie is not None and (cookie.value, cookie["max-age"]) == ("", "0")


async def test_a_cookie_that_was_refused_is_forgotten_and_no_other(running: Running, fakes: Fakes):
    fakes.failure = InvalidGrant()
    answer = await _refresh(running, COOKIE, f"Origin: {OWN}")
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")
    assert _is_cleared(answer)
    assert answer.headers["cache-control"] == "no-store"
    # A form that any page can send with a token of its own must not end what it cannot see.
    foreign = await _refresh(running, "Origin: https://evil.example", more="&refresh_token=cyr_9")
    assert (foreign.status, _cookie(foreign)) == (400, None)
    fakes.failure = PostgresUnavailable()
    away = await _refresh(running, COOKIE, f"Origin: {OWN}")
    assert (away.status, _cookie(away)) == (503, None)


async def test_a_logout_forgets_it(running: Running, fakes: Fakes):
    async def end(*headers: str) -> Raw:
        lines = ["DELETE /v1/session HTTP/1.1", "Host: x", f"Authorization: Bearer {ACCESS_TOKEN}", *headers]
        [answer] = await running.send("\r\n".join([*lines, "", ""]).encode())
        return answer

    for headers in ((), (f"Origin: {OWN}",)):
        answer = await end(*headers)
        assert answer.status == 204
        assert _is_cleared(answer)
    assert _cookie(await end("Origin: https://app.example")) is None
    fakes.failure = SessionExpired()
    assert _cookie(await end()) is None
