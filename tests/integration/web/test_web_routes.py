import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from itertools import pairwise

import pytest
from web_fakes import ACCESS_TOKEN, DEVICE_ID, SERVICE_TOKEN, SESSION_ID, USER_ID, Fakes, Running

from cypher import errors
from cypher.auth.begun import LoginOptions
from cypher.auth.source import Source
from cypher.auth.types import DeviceChange, Health, SentDevice
from cypher.errors import CypherError
from cypher.repositories.devices import DeviceInfo
from cypher.web import middlewares
from cypher.web.body import MAX_BODY
from cypher.web.encoding import to_base64url
from cypher.web.routes import ROUTES, Needs, Route

BEARER = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
SERVICE = {"Authorization": f"Bearer {SERVICE_TOKEN}"}
SESSION = {
    "id": str(SESSION_ID),
    "user_id": str(USER_ID),
    "username": "alice",
    "aal": 1,
    "amr": ["opaque"],
    "authenticated_at": "2026-01-02T03:04:05Z",
    "created_at": "2026-01-02T03:04:05Z",
    "expires_at": "2026-02-01T03:04:05Z",
    "idle_expires_at": "2026-01-09T03:04:05Z",
    "device_id": None,
}
REGISTRATION_START = {"username": "alice", "registration_request": to_base64url(bytes(32))}
REGISTRATION_FINISH = {"flow_id": "flow", "registration_record": to_base64url(bytes(192))}
LOGIN_START = {"username": "alice", "ke1": to_base64url(bytes(96))}
LOGIN_FINISH = {"flow_id": "flow", "ke3": to_base64url(bytes(64))}
LOGIN_MFA = {"mfa_token": "mfa", "method": "totp", "code": "123456"}
PASSWORD_START = {"registration_request": to_base64url(bytes(32))}
RECOVERY_START = {"username": "alice", "recovery_token": "cyv_1", **PASSWORD_START}
BODIES: dict[str, dict[str, object]] = {
    "/v1/registration/start": {"json": REGISTRATION_START},
    "/v1/registration/finish": {"json": REGISTRATION_FINISH},
    "/v1/login/start": {"json": LOGIN_START},
    "/v1/login/finish": {"json": LOGIN_FINISH},
    "/v1/login/mfa": {"json": LOGIN_MFA},
    "/v1/reauthentication/start": {"json": {"ke1": LOGIN_START["ke1"]}},
    "/v1/reauthentication/finish": {"json": LOGIN_FINISH},
    "/v1/factors/totp/confirm": {"json": {"code": "123456"}},
    "/v1/password/start": {"json": PASSWORD_START},
    "/v1/password/finish": {"json": REGISTRATION_FINISH},
    "/v1/account": {"json": {"username": "alice"}},
    "/v1/recovery/request": {"json": {"username": "alice"}},
    "/v1/recovery/start": {"json": RECOVERY_START},
    "/v1/recovery/finish": {"json": REGISTRATION_FINISH},
    "/v1/sessions": {"params": {"scope": "others"}},
    "/v1/devices/{id}": {"json": {"name": "laptop"}},
    "/oauth/token": {"data": {"grant_type": "refresh_token", "refresh_token": "cyr_1"}},
    "/oauth/introspect": {"data": {"token": ACCESS_TOKEN}},
    "/oauth/revoke": {"data": {"token": ACCESS_TOKEN}},
}
CREDENTIALS = {Needs.NOTHING: {}, Needs.ACCESS_TOKEN: BEARER, Needs.FRESH: BEARER, Needs.INTROSPECT: SERVICE}

#: Routes that ask no use case that could fail.
ASK_NOTHING = ("/v1/config", "/.well-known/jwks.json", "/openapi.json", "/docs", "/health/live")


def _path(route: Route) -> str:
    return route.path.replace("{id}", str(SESSION_ID))


async def _call(running: Running, route: Route, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    async with running.client.request(
        route.method, running.url(_path(route)), headers=headers, **BODIES.get(route.path, {})
    ) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read()


each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@each_route
async def test_every_route_answers_with_the_headers_of_the_contract(running: Running, route: Route):
    status, headers, _ = await _call(running, route, CREDENTIALS[route.needs] | {"X-Request-Id": "request-from-me"})
    assert status in (200, 201, 202, 204)
    assert headers["x-request-id"] == "request-from-me"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["server"] == "cypher"


@each_route
async def test_every_route_asks_for_what_the_table_says(running: Running, route: Route):
    status, headers, _ = await _call(running, route, {"Authorization": "Bearer another"})
    assert (status == 401) is (route.needs is not Needs.NOTHING)
    assert ("www-authenticate" in headers) is (status == 401)
    without, _, _ = await _call(running, route, {})
    assert without == status


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.path not in ASK_NOTHING],
    ids=lambda route: f"{route.method} {route.path}",
)
async def test_every_route_turns_an_unexpected_failure_into_503(
    running: Running, fakes: Fakes, route: Route, caplog: pytest.LogCaptureFixture
):
    fakes.failure = RuntimeError("canary-in-the-text")
    status, headers, body = await _call(running, route, CREDENTIALS[route.needs])
    assert status == 503
    assert headers["retry-after"] == "1"
    assert b"canary" not in body
    assert "canary" not in caplog.text
    assert "RuntimeError" in caplog.text
    assert headers["x-request-id"] in caplog.text


@each_route
async def test_other_methods_are_refused_with_those_that_are_allowed(running: Running, route: Route):
    allowed = {other.method for other in ROUTES if other.path == route.path}
    for method in {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GET"} - allowed:
        async with running.client.request(method, running.url(_path(route)), headers=BEARER) as response:
            body = await response.json(content_type=None)
            assert response.status == 405
            assert allowed <= set(response.headers["Allow"].split(","))
            assert "error" in body if route.path.startswith("/oauth/") else body["code"] == "method_not_allowed"


async def test_head_answers_as_get_without_a_body(running: Running):
    async with running.client.head(running.url("/v1/session"), headers=BEARER) as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 0
        assert await response.read() == b""
    async with running.client.head(running.url("/v1/session")) as response:
        assert response.status == 401
        assert await response.read() == b""


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/session/",
        "/V1/session",
        "/v1//session",
        "/v1/sessions/",
        "/v1/session%00",
        "/%00",
        "/%ff%fe",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/../v1/session",
        "/v1%2Fsession",
        "/" + "a" * 7000,
    ],
)
async def test_what_is_not_there_is_404(running: Running, path: str):
    [answer] = await running.send(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    "junk",
    [
        "junk",
        "%00",
        "%ff",
        "%25",
        "..",
        "%E2%80%AE",
        "{" + str(SESSION_ID) + "}",
        "urn:uuid:" + str(SESSION_ID),
        SESSION_ID.hex,
        str(SESSION_ID) + "%0a",
        str(SESSION_ID).replace("0", "%D9%A0"),
        "00000000-0000-0000-0000-000000000000",
        "' OR 1=1 --".replace(" ", "%20"),
    ],
)
async def test_an_id_that_names_no_session_is_404(running: Running, junk: str):
    sent = f"DELETE /v1/sessions/{junk} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACCESS_TOKEN}\r\n\r\n"
    [answer] = await running.send(sent.encode())
    assert answer.status == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("junk", ["junk", "%00", "..", SESSION_ID.hex, "{" + str(SESSION_ID) + "}"])
async def test_an_id_that_names_no_device_is_404(running: Running, fakes: Fakes, method: str, junk: str):
    headers = f"Authorization: Bearer {ACCESS_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    [answer] = await running.send(f"{method} /v1/devices/{junk} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{{}}".encode())
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert [call[0] for call in fakes.calls if str(call[0]).startswith("devices.")] == []


# -- what the routes say ------------------------------------------------------------------------------------


async def _json(running: Running, method: str, path: str, **options: object) -> tuple[int, object]:
    async with running.client.request(method, running.url(path), **options) as response:
        return response.status, await response.json(content_type=None)


async def test_config_says_what_a_client_needs(running: Running):
    assert await _json(running, "GET", "/v1/config") == (
        200,
        {
            "opaque": {
                "suite": "ristretto255-SHA512",
                "server_public_key": to_base64url(bytes(range(32))),
                "ksf": {"name": "argon2id", "memory_kib": 19456, "iterations": 2, "parallelism": 1},
            },
            "registration": "open",
        },
    )


async def test_registration(running: Running, fakes: Fakes):
    assert await _json(running, "POST", "/v1/registration/start", json=REGISTRATION_START) == (
        200,
        {"flow_id": "flow", "registration_response": to_base64url(b"\xff" * 64), "expires_in": 60},
    )
    assert await _json(running, "POST", "/v1/registration/finish", json=REGISTRATION_FINISH) == (
        201,
        {"user": {"id": str(USER_ID), "username": "alice", "created_at": "2026-01-02T03:04:05Z"}},
    )
    assert [call[:3] for call in fakes.calls] == [
        ("registration.start", "alice", bytes(32)),
        ("registration.finish", "flow", bytes(192)),
    ]


async def test_login(running: Running, fakes: Fakes):
    assert await _json(running, "POST", "/v1/login/start", json=LOGIN_START) == (
        200,
        {"flow_id": "flow", "ke2": to_base64url(b"\x01" * 320), "expires_in": 60},
    )
    assert await _json(running, "POST", "/v1/login/finish", json=LOGIN_FINISH) == (
        200,
        {
            "status": "authenticated",
            "session": SESSION,
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": "cyr_1",
        },
    )
    assert [call[:3] for call in fakes.calls] == [
        ("login.start", "alice", bytes(96)),
        ("login.finish", "flow", bytes(64)),
    ]


async def test_a_login_that_asks_for_a_factor(running: Running, fakes: Fakes):
    fakes.asks_for_a_factor = True
    asked = {"status": "mfa_required", "mfa_token": "mfa", "factors": ["totp", "recovery_code"], "expires_in": 300}
    assert await _json(running, "POST", "/v1/login/finish", json=LOGIN_FINISH) == (200, asked)
    path = "/v1/reauthentication/finish"
    assert await _json(running, "POST", path, json=LOGIN_FINISH, headers=BEARER) == (200, asked)
    status, body = await _json(running, "POST", "/v1/login/mfa", json=LOGIN_MFA)
    assert status == 200
    assert body["status"] == "authenticated"
    assert fakes.calls[-1][:4] == ("second_step.finish", "mfa", "totp", "123456")


@pytest.mark.parametrize(
    "changed",
    [{"code": 123456}, {"code": None}, {"code": ["1"]}, {"method": "sms"}, {"method": None}, {"mfa_token": 1}, {}],
)
async def test_a_second_step_of_a_wrong_form(running: Running, fakes: Fakes, changed: dict[str, object]):
    body = {**LOGIN_MFA, **changed} if changed else {}
    async with running.client.post(running.url("/v1/login/mfa"), json=body) as response:
        assert response.status == 422
    assert fakes.calls == []


async def test_re_authentication(running: Running, fakes: Fakes):
    ke1 = {"ke1": LOGIN_START["ke1"]}
    assert await _json(running, "POST", "/v1/reauthentication/start", json=ke1, headers=BEARER) == (
        200,
        {"flow_id": "flow", "ke2": to_base64url(b"\x01" * 320), "expires_in": 60},
    )
    assert await _json(running, "POST", "/v1/reauthentication/finish", json=LOGIN_FINISH, headers=BEARER) == (
        200,
        {"session": SESSION, "access_token": ACCESS_TOKEN, "expires_in": 300, "token_type": "Bearer"},
    )


async def test_factors(running: Running):
    asked = [
        ("GET", "/v1/factors", None, 200, {"totp": {"enabled": True}, "recovery_codes": {"remaining": 9}}),
        (
            "POST",
            "/v1/factors/totp",
            None,
            201,
            {"secret": "A" * 32, "otpauth_uri": "otpauth://totp/x", "qr_svg": "<svg/>"},
        ),
        ("POST", "/v1/factors/totp/confirm", {"code": "123456"}, 200, {"recovery_codes": ["one", "two"]}),
        ("POST", "/v1/recovery-codes", None, 201, {"recovery_codes": ["three", "four"]}),
    ]
    for method, path, body, status, answer in asked:
        assert await _json(running, method, path, json=body, headers=BEARER) == (status, answer)


async def test_sessions(running: Running, fakes: Fakes):
    assert await _json(running, "GET", "/v1/session", headers=BEARER) == (200, SESSION)
    seen = {"current": True, "last_seen_at": "2026-01-02T03:04:05Z", "ip_address": "::1", "user_agent": "x"}
    assert await _json(running, "GET", "/v1/sessions", headers=BEARER) == (200, {"items": [SESSION | seen]})
    assert await _json(running, "DELETE", "/v1/sessions?scope=all", headers=BEARER) == (200, {"revoked": 3})
    assert await _json(running, "DELETE", f"/v1/sessions/{SESSION_ID}", headers=BEARER) == (204, None)
    assert await _json(running, "DELETE", "/v1/session", headers=BEARER) == (204, None)
    assert [call[0] for call in fakes.calls if call[0] != "sessions.validate"] == [
        "sessions.list_sessions",
        "sessions.end_many",
        "sessions.end",
        "sessions.end_current",
    ]


async def test_another_password(running: Running, fakes: Fakes):
    assert await _json(running, "POST", "/v1/password/start", json=PASSWORD_START, headers=BEARER) == (
        200,
        {"flow_id": "flow", "registration_response": to_base64url(b"\xff" * 64), "expires_in": 60},
    )
    path = "/v1/password/finish"
    for extra in ({}, {"revoke_other_sessions": False}):
        assert await _json(running, "POST", path, json=REGISTRATION_FINISH | extra, headers=BEARER) == (204, None)
    status, _ = await _json(
        running, "POST", path, json=REGISTRATION_FINISH | {"revoke_other_sessions": "no"}, headers=BEARER
    )
    assert status == 422
    calls = [call for call in fakes.calls if str(call[0]).startswith("password")]
    assert [call[2:] for call in calls] == [
        (bytes(32),),
        ("flow", bytes(192), True),
        ("flow", bytes(192), False),
    ]


async def test_account(running: Running, fakes: Fakes):
    account = {
        "id": str(USER_ID),
        "username": "alice",
        "totp_enabled": False,
        "created_at": "2026-01-02T03:04:05Z",
        "password_changed_at": "2026-01-02T03:04:05Z",
        "last_login_at": None,
    }
    assert await _json(running, "GET", "/v1/account", headers=BEARER) == (200, account)
    renamed = await _json(running, "PATCH", "/v1/account", json={"username": "ALICE"}, headers=BEARER)
    assert renamed == (200, account)
    status, exported = await _json(running, "GET", "/v1/account/export", headers=BEARER)
    assert (status, exported["account"], exported["sessions"]) == (200, account, [])
    assert await _json(running, "DELETE", "/v1/account", headers=BEARER) == (204, None)
    assert [call[0] for call in fakes.calls if call[0] != "sessions.validate"] == [
        "account.show",
        "account.rename",
        "export.export",
        "account.delete",
    ]


async def test_recovery(running: Running, fakes: Fakes):
    assert await _json(running, "POST", "/v1/recovery/request", json={"username": "alice"}) == (202, None)
    assert await _json(running, "POST", "/v1/recovery/start", json=RECOVERY_START) == (
        200,
        {"flow_id": "flow", "registration_response": to_base64url(b"\xff" * 64), "expires_in": 60},
    )
    assert await _json(running, "POST", "/v1/recovery/finish", json=REGISTRATION_FINISH) == (204, None)
    assert [call[:4] for call in fakes.calls[1:]] == [
        ("recovery.start", "alice", "cyv_1", bytes(32)),
        ("recovery.finish", "flow", bytes(192), fakes.calls[2][3]),
    ]


async def test_devices(running: Running, fakes: Fakes):
    device = {
        "id": str(DEVICE_ID),
        "name": "laptop",
        "trusted_until": None,
        "first_seen_at": "2026-01-02T03:04:05Z",
        "last_seen_at": "2026-01-02T03:04:05Z",
        "current": True,
    }
    path = f"/v1/devices/{DEVICE_ID}"
    assert await _json(running, "GET", "/v1/devices", headers=BEARER) == (200, {"items": [device]})
    changed = {"name": "kitchen", "trusted": False, "fingerprint": "ignored"}
    assert await _json(running, "PATCH", path, headers=BEARER, json=changed) == (200, device)
    assert await _json(running, "DELETE", path, headers=BEARER) == (204, None)
    assert [call[:3] for call in fakes.calls if call[0] in ("devices.change", "devices.revoke")] == [
        ("devices.change", DEVICE_ID, DeviceChange(name="kitchen", trusted=False)),
        ("devices.revoke", DEVICE_ID, fakes.calls[-1][2]),
    ]


async def test_what_a_login_says_of_its_device_reaches_the_use_case(running: Running, fakes: Fakes):
    device = {"fingerprint": "print", "info": {"model": "x"}, "trusted": True}
    await _json(running, "POST", "/v1/login/start", json=LOGIN_START | {"device_token": "cyd_0"})
    status, body = await _json(running, "POST", "/v1/login/finish", json=LOGIN_FINISH | {"device": device})
    assert (status, body["device_token"]) == (200, "cyd_1")
    await _json(running, "POST", "/v1/login/mfa", json=LOGIN_MFA | {"trust_device": True})
    sent = SentDevice(fingerprint="print", info=DeviceInfo(model="x"))
    assert [call[-1] for call in fakes.calls] == ["cyd_0", LoginOptions(device=sent), True]


@pytest.mark.parametrize("query", ["", "?scope=", "?scope=ALL", "?scope=all&scope=all", "?scope=%ff", "?other=all"])
async def test_ending_many_sessions_needs_one_known_scope(running: Running, fakes: Fakes, query: str):
    status, body = await _json(running, "DELETE", f"/v1/sessions{query}", headers=BEARER)
    assert (status, body["errors"][0]["pointer"]) == (422, "/scope")
    assert "sessions.end_many" not in [call[0] for call in fakes.calls]


async def test_refresh(running: Running):
    form = {"grant_type": "refresh_token", "refresh_token": "cyr_1"}
    assert await _json(running, "POST", "/oauth/token", data=form) == (
        200,
        {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300, "refresh_token": "cyr_2"},
    )


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password", "refresh_token": "x"}, "unsupported_grant_type"),
        ({"refresh_token": "x"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": ""}, "invalid_request"),
        ([("grant_type", "refresh_token"), ("refresh_token", "x"), ("refresh_token", "x")], "invalid_request"),
    ],
)
async def test_a_token_request_of_a_wrong_form(running: Running, fakes: Fakes, form: object, error: str):
    status, body = await _json(running, "POST", "/oauth/token", data=form)
    assert (status, body["error"]) == (400, error)
    assert fakes.calls == []


async def test_introspection(running: Running):
    active = {"active": True, "sub": str(USER_ID), "sid": str(SESSION_ID), "jti": "jti-1", "exp": 301}
    answers = [
        await _json(running, "POST", "/oauth/introspect", headers=SERVICE, data={"token": token})
        for token in (ACCESS_TOKEN, "another")
    ]
    assert answers == [(200, active | {"aal": 1, "amr": ["opaque"]}), (200, {"active": False})]


async def test_introspection_needs_the_scope(running: Running, fakes: Fakes):
    headers = {"Authorization": "Bearer cys_other_scope"}
    status, body = await _json(running, "POST", "/oauth/introspect", headers=headers, data={"token": ACCESS_TOKEN})
    assert (status, body["error"]) == (403, "insufficient_scope")
    status, body = await _json(running, "POST", "/oauth/introspect", data={"token": ACCESS_TOKEN})
    assert (status, body["error"]) == (401, "invalid_client")
    assert "tokens.introspect" not in [call[0] for call in fakes.calls]


async def test_revocation_says_nothing_about_the_token(running: Running):
    assert await _json(running, "POST", "/oauth/revoke", data={"token": "unknown"}) == (200, None)


async def test_jwks(running: Running):
    key = {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "key-1", "alg": "EdDSA", "use": "sig"}
    assert await _json(running, "GET", "/.well-known/jwks.json") == (200, {"keys": [key]})


@pytest.mark.parametrize(
    ("missing", "status", "word"),
    [
        (None, 200, "ok"),
        ("redis", 200, "degraded"),
        ("postgres", 503, "not ready"),
        ("migrations", 503, "not ready"),
        ("keys", 503, "not ready"),
    ],
)
async def test_readiness(running: Running, fakes: Fakes, missing: str | None, status: int, word: str):
    parts = {name: name != missing for name in ("postgres", "redis", "migrations", "keys")}
    fakes.state = Health(**parts)
    assert await _json(running, "GET", "/health/ready") == (status, {"status": word, **parts})
    assert await _json(running, "GET", "/health/live") == (200, {"status": "ok"})


async def test_a_server_about_to_stop_is_alive_and_not_ready(running: Running):
    running.server.announce_stop()
    async with running.client.get(running.url("/health/ready")) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers
    assert (await _json(running, "GET", "/health/live"))[0] == 200
    assert (await _json(running, "GET", "/v1/session", headers=BEARER))[0] == 200


# -- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/registration/start", REGISTRATION_START | {"registration_request": to_base64url(bytes(33))}, None),
        ("/v1/registration/finish", REGISTRATION_FINISH | {"registration_record": to_base64url(bytes(193))}, None),
        ("/v1/login/start", LOGIN_START | {"ke1": to_base64url(bytes(95))}, None),
        ("/v1/recovery/start", RECOVERY_START | {"registration_request": to_base64url(bytes(31))}, None),
        ("/v1/recovery/finish", REGISTRATION_FINISH | {"registration_record": to_base64url(bytes(191))}, None),
        ("/v1/login/finish", LOGIN_FINISH | {"ke3": to_base64url(bytes(64)) + "="}, None),
        ("/v1/login/finish", LOGIN_FINISH | {"ke3": ""}, None),
        ("/v1/login/finish", LOGIN_FINISH | {"ke3": 5}, "validation_failed"),
        ("/v1/login/finish", {"ke3": LOGIN_FINISH["ke3"]}, "validation_failed"),
    ],
)
async def test_a_malformed_message_consumes_no_flow(
    running: Running, fakes: Fakes, path: str, body: object, code: str | None
):
    status, answer = await _json(running, "POST", path, json=body)
    assert answer["code"] == (code or "malformed_opaque_message")
    assert status == (422 if code else 400)
    assert fakes.calls == []


def _post(path: str, headers: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body


JSON_BODY = json.dumps(LOGIN_FINISH).encode()


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json; charset=no-such-thing\r\n",
        "Content-Type: \xff\xfe\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: canary\r\n",
        "Content-Type: application/json\r\nContent-Encoding: identity, gzip\r\n",
    ],
)
async def test_other_media_types_and_codings_are_refused(running: Running, fakes: Fakes, headers: str):
    sent = _post("/v1/login/finish", headers + f"Content-Length: {len(JSON_BODY)}\r\n", JSON_BODY)
    [answer] = await running.send(sent)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
    assert fakes.calls == []


async def test_a_compressed_body_is_refused_and_not_unpacked(running: Running):
    packed = gzip.compress(b" " * 10_000_000)
    headers = f"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n"
    answers = await running.send(_post("/v1/login/finish", headers, packed))
    assert [answer.status for answer in answers] == [415]


def _padded(length: int) -> bytes:
    return JSON_BODY + b" " * (length - len(JSON_BODY))


@pytest.mark.parametrize(("length", "status"), [(MAX_BODY, 200), (MAX_BODY + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_bound_of_a_body_is_exact(running: Running, length: int, status: int, chunked: bool):
    body = _padded(length)
    if chunked:
        pieces = [body[start:end] for start, end in pairwise([*range(0, length, 9999), length])]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
    sent = _post("/v1/login/finish", f"Content-Type: application/json\r\n{framing}\r\n", body)
    [answer] = await running.send(sent)
    assert answer.status == status
    if status == 413:
        assert answer.json()["code"] == "body_too_large"


async def test_a_body_announced_too_large_is_refused_before_it_is_sent(running: Running):
    headers = f"Content-Type: application/json\r\nContent-Length: {10**12}\r\n"
    [answer] = await running.send(_post("/v1/login/finish", headers, b"{"))
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


async def test_a_body_that_does_not_come_is_refused(running: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cypher.web.body.BODY_SECONDS", 0.05)
    headers = "Content-Type: application/json\r\nContent-Length: 100\r\n"
    [answer] = await running.send(_post("/v1/login/finish", headers, b"{"))
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")


async def test_broken_chunks_get_one_answer(running: Running):
    headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    sent = _post("/v1/login/finish", headers, b"2\r\n{}\r\nCANARY\r\n")
    [answer] = await running.send(sent, until_closed=True)
    assert answer.status == 400
    assert answer.closed
    assert b"CANARY" not in answer.body


async def test_two_authorization_headers_are_refused(running: Running, fakes: Fakes):
    header = f"Authorization: Bearer {ACCESS_TOKEN}\r\n"
    [answer] = await running.send(f"GET /v1/session HTTP/1.1\r\nHost: x\r\n{header}{header}\r\n".encode())
    assert answer.status == 401
    assert fakes.calls == []


@pytest.mark.parametrize(
    "kind", [errors.InvalidCredentials, errors.FlowExpired, errors.AccountDisabled, errors.PostgresUnavailable]
)
async def test_errors_of_the_domain_become_answers(
    running: Running, fail: Callable[[CypherError], None], kind: type[CypherError]
):
    fail(kind())
    _, body = await _json(running, "POST", "/v1/login/finish", json=LOGIN_FINISH)
    assert body["code"] == kind.code


async def test_a_request_ends_at_its_deadline(running: Running, fakes: Fakes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(middlewares, "DEADLINE_SECONDS", 0.05)
    fakes.gate = asyncio.Event()
    async with running.client.get(running.url("/v1/session"), headers=BEARER) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers


async def test_the_source_is_what_the_socket_says(running: Running, fakes: Fakes):
    headers = {"X-Forwarded-For": "198.51.100.7", "User-Agent": "agent", "X-Request-Id": "request-1"}
    await _json(running, "POST", "/v1/login/start", json=LOGIN_START, headers=headers)
    assert fakes.calls[0][3] == Source(address="127.0.0.1", user_agent="agent", request_id="request-1")


async def test_behind_a_trusted_proxy_it_is_what_the_proxy_says(serve: Callable[..., Awaitable[Running]], fakes: Fakes):
    running = await serve(trusted_proxies=(ip_network("127.0.0.0/8"),))
    headers = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7"}
    await _json(running, "POST", "/v1/login/start", json=LOGIN_START, headers=headers)
    source = fakes.calls[0][3]
    assert isinstance(source, Source)
    assert source.address == "198.51.100.7"


async def test_a_user_agent_that_is_not_utf8_harms_nobody(running: Running, fakes: Fakes):
    headers = f"User-Agent: \xff\xfe\r\nContent-Type: application/json\r\nContent-Length: {len(JSON_BODY)}\r\n"
    sent = f"POST /v1/login/finish HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1") + JSON_BODY
    [answer] = await running.send(sent)
    assert answer.status == 200
    source = fakes.calls[0][3]
    assert isinstance(source, Source)
    assert source.user_agent == "\ufffd\ufffd"


async def test_the_log_has_one_line_for_a_request_and_nothing_that_was_sent(
    running: Running, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    path = f"/v1/sessions/canary-path?canary-query={ACCESS_TOKEN}"
    async with running.client.delete(running.url(path), headers=BEARER | {"X-Request-Id": "request-1"}) as response:
        assert response.status == 404
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(("cypher", "aiohttp"))]
    [line] = lines
    assert line.startswith("DELETE /v1/sessions/{id} 404 not_found ")
    assert line.endswith(" ms request-1")
