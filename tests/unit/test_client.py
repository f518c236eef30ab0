"""The Python client against a server with canned answers: renewal, repeats, time-outs, errors."""

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp
import opaque_ke_py
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from cypher import client as errors
from cypher.client import CypherClient, CypherClientError
from cypher.client.opaque import start_login, start_registration
from cypher.client.transport import Call, error_of

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

SESSION = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "user_id": "01890a5d-ac96-774b-bcce-b302099a8058",
    "username": "ada",
    "aal": 1,
    "amr": ["opaque"],
    "authenticated_at": "2030-01-01T00:00:00Z",
    "created_at": "2030-01-01T00:00:00Z",
    "expires_at": "2030-01-31T00:00:00Z",
    "idle_expires_at": "2030-01-08T00:00:00Z",
    "device_id": None,
    "a_field_of_a_later_version": True,
}
PASSWORD = "correct hörse"
CREDENTIAL_ID = b"\x80" * 16


def encode(message: bytes) -> str:
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ok(body: object, status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


def problem(status: int, code: str, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = {"type": "about:blank", "title": "A sentence.", "status": status, "code": code}
        return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")

    return answer


def invalid_grant() -> Answer:
    return ok({"error": "invalid_grant", "error_description": "Over."}, status=400)


async def drop(request: web.Request) -> web.StreamResponse:
    """Break the connection: the answer is lost, what was done is not."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def refreshed(number: int, expires_in: int = 300) -> Answer:
    body = {"access_token": f"access-{number}", "token_type": "Bearer", "expires_in": expires_in}
    return ok({**body, "refresh_token": f"cyr_{number}"})


class Held:
    """Gives its answer when released; `asked` is set once somebody waits for it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        await self.release.wait()
        return await self._answer(request)


class SteppedClock:
    """Stands still until told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


class CannedServer:
    """Answers each route with the next of its canned answers; speaks real OPAQUE for one person."""

    def __init__(self) -> None:
        self.canned: dict[str, deque[Answer]] = {}
        self.seen: list[tuple[str, str | None, dict[str, str]]] = []
        self.setup = opaque_ke_py.server_setup()
        self.record = b""
        self.login_state = b""
        self.url = ""

    def will(self, route: str, *answers: Answer) -> None:
        self.canned.setdefault(route, deque()).extend(answers)

    def count(self, route: str) -> int:
        return sum(seen[0] == route for seen in self.seen)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        route = f"{request.method} {request.path}"
        form = dict(await request.post()) if request.path.startswith("/oauth") else {}
        self.seen.append((route, request.headers.get("Authorization"), {k: str(v) for k, v in form.items()}))
        if self.canned.get(route):
            return await self.canned[route].popleft()(request)
        return await self.by_protocol(route, request)

    async def by_protocol(self, route: str, request: web.Request) -> web.StreamResponse:
        if route == "GET /v1/session":
            return web.json_response(SESSION)
        if route == "DELETE /v1/session":
            return web.Response(status=204)
        body = await request.json()
        if route == "POST /v1/registration/start":
            message = decode(body["registration_request"])
            start = opaque_ke_py.server_registration_start(self.setup, message, CREDENTIAL_ID)
            return web.json_response({"flow_id": "r", "registration_response": encode(start.get_message())})
        if route == "POST /v1/registration/finish":
            self.record = decode(body["registration_record"])
            user = {"id": SESSION["user_id"], "username": "ada", "created_at": "2030-01-01T00:00:00Z"}
            return web.json_response({"user": user}, status=201)
        if route in ("POST /v1/login/start", "POST /v1/reauthentication/start"):
            login = opaque_ke_py.server_login_start(self.setup, self.record, decode(body["ke1"]), CREDENTIAL_ID)
            self.login_state = login.get_state()
            return web.json_response({"flow_id": "l", "ke2": encode(login.get_message())})
        opaque_ke_py.server_login_finish(self.login_state, decode(body["ke3"]))
        if route == "POST /v1/reauthentication/finish":
            return web.json_response({"session": SESSION, "access_token": "access-1", "expires_in": 300})
        done = {"status": "authenticated", "session": SESSION, "access_token": "access-0", "expires_in": 300}
        return web.json_response({**done, "refresh_token": "cyr_0"})


@pytest.fixture
async def server():
    canned = CannedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", canned.handle)
    async with TestServer(app) as running:
        canned.url = str(running.make_url(""))
        yield canned


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
async def client(server, clock):
    async with CypherClient(server.url, clock=clock, pauses=(0.0, 0.0)) as opened:
        yield opened


@pytest.fixture
async def logged_in(client):
    await client.register("ada", PASSWORD)
    await client.login("ada", PASSWORD)
    return client


# -- registering and logging in ------------------------------------------------------------------------------


async def test_registers_and_logs_in_through_opaque(client):
    user = await client.register("ada", PASSWORD)
    session = await client.login("ada", PASSWORD)
    assert user.id == session.user_id == UUID(SESSION["user_id"])
    assert session.amr == ("opaque",)
    assert session.expires_at == datetime(2030, 1, 31, tzinfo=UTC)
    assert await client.access_token() == "access-0"


async def test_wrong_password_is_invalid_credentials_and_sends_no_second_message(client, server):
    await client.register("ada", PASSWORD)
    with pytest.raises(errors.InvalidCredentials):
        await client.login("ada", "wrong")
    assert server.count("POST /v1/login/finish") == 0
    assert client.tokens is None


async def test_pinned_key_that_differs_stops_the_registration_before_the_record_is_sent(server):
    async with CypherClient(server.url, server_public_key=bytes(32)) as client:
        with pytest.raises(errors.WrongServer):
            await client.register("ada", PASSWORD)
    assert server.count("POST /v1/registration/finish") == 0


async def test_pinned_key_that_fits_registers(server):
    probe = opaque_ke_py.client_registration_start(b"x").get_message()
    key = opaque_ke_py.server_registration_start(server.setup, probe, CREDENTIAL_ID).get_message()[32:]
    async with CypherClient(server.url, server_public_key=key) as client:
        assert (await client.register("ada", PASSWORD)).username == "ada"


@pytest.mark.parametrize("ke2", ["", "A", "AAAA", "A" * 500, "Ö" * 427, "+" * 427])
async def test_ke2_of_a_wrong_form_is_an_unexpected_answer(client, server, ke2):
    server.will("POST /v1/login/start", ok({"flow_id": "l", "ke2": ke2}))
    with pytest.raises(errors.UnexpectedAnswer):
        await client.login("ada", PASSWORD)


async def test_registration_finish_is_asked_again_when_its_answer_is_lost(client, server):
    server.will("POST /v1/registration/finish", drop, problem(503, "dependency_unavailable"))
    assert (await client.register("ada", PASSWORD)).username == "ada"
    assert server.count("POST /v1/registration/finish") == 3


@pytest.mark.parametrize("route", ["POST /v1/login/start", "POST /v1/login/finish", "POST /v1/registration/start"])
@pytest.mark.parametrize("answer", [drop, problem(503, "dependency_unavailable")])
async def test_what_counts_or_is_consumed_is_sent_once(client, server, route, answer):
    await client.register("ada", PASSWORD)
    before = server.count(route)
    server.will(route, answer)
    with pytest.raises((errors.Unreachable, errors.Unavailable)):
        await (client.register if "registration" in route else client.login)("ada", PASSWORD)
    assert server.count(route) == before + 1


# -- renewal -------------------------------------------------------------------------------------------------


async def test_concurrent_callers_renew_once(logged_in, server, clock):
    held = Held(refreshed(1))
    server.will("POST /oauth/token", held)
    clock.seconds += 280
    callers = [asyncio.create_task(logged_in.session()) for _ in range(16)]
    await held.asked.wait()
    held.release.set()
    await asyncio.gather(*callers)

    assert server.count("POST /oauth/token") == 1
    assert {auth for route, auth, _ in server.seen if route == "GET /v1/session"} == {"Bearer access-1"}


async def test_a_caller_who_gives_up_does_not_take_the_successor_away(logged_in, server, clock):
    held = Held(refreshed(1))
    server.will("POST /oauth/token", held)
    impatient = asyncio.create_task(logged_in.refresh())
    patient = asyncio.create_task(logged_in.refresh())
    await held.asked.wait()
    impatient.cancel()
    held.release.set()
    await patient
    assert impatient.cancelled()
    assert logged_in.tokens.refresh_token == "cyr_1"
    assert server.count("POST /oauth/token") == 1


async def test_renews_before_the_access_token_ends_and_not_earlier(logged_in, server, clock):
    server.will("POST /oauth/token", refreshed(1))
    clock.seconds += 269
    await logged_in.session()
    assert server.count("POST /oauth/token") == 0
    clock.seconds += 2
    await logged_in.session()
    assert server.count("POST /oauth/token") == 1


async def test_leeway_is_a_share_of_a_short_life(logged_in, server, clock):
    server.will("POST /oauth/token", refreshed(1, expires_in=10))
    await logged_in.refresh()
    clock.seconds += 8.5
    await logged_in.session()
    assert server.count("POST /oauth/token") == 1


async def test_refused_access_token_is_renewed_and_the_call_repeated_once(logged_in, server):
    server.will("GET /v1/session", problem(401, "unauthenticated"))
    server.will("POST /oauth/token", refreshed(1))
    assert (await logged_in.session()).username == "ada"

    server.will("GET /v1/session", problem(401, "unauthenticated"), problem(401, "unauthenticated"))
    server.will("POST /oauth/token", refreshed(2))
    with pytest.raises(errors.Unauthenticated):
        await logged_in.session()
    assert server.count("POST /oauth/token") == 2


async def test_lost_answer_of_a_renewal_is_asked_for_with_the_same_token(logged_in, server):
    server.will("POST /oauth/token", drop, problem(503, "dependency_unavailable"), refreshed(1))
    await logged_in.refresh()
    sent = [form["refresh_token"] for route, _, form in server.seen if route == "POST /oauth/token"]
    assert sent == ["cyr_0"] * 3
    assert await logged_in.access_token() == "access-1"


async def test_renewal_is_not_repeated_once_the_grace_could_be_over(logged_in, server, clock):
    async def after_a_long_time(request: web.Request) -> web.StreamResponse:
        clock.seconds += 6
        return await drop(request)

    server.will("POST /oauth/token", after_a_long_time)
    with pytest.raises(errors.Unreachable):
        await logged_in.refresh()
    assert server.count("POST /oauth/token") == 1


async def test_session_that_is_over_is_forgotten(logged_in, server):
    server.will("POST /oauth/token", invalid_grant())
    with pytest.raises(errors.SessionExpired) as caught:
        await logged_in.refresh()
    assert caught.value.code == "invalid_grant"
    with pytest.raises(errors.NotLoggedIn):
        await logged_in.session()


async def test_session_ended_elsewhere_is_forgotten_without_a_renewal(logged_in, server):
    server.will("GET /v1/session", problem(401, "session_expired"))
    with pytest.raises(errors.SessionExpired):
        await logged_in.session()
    assert logged_in.tokens is None
    assert server.count("POST /oauth/token") == 0


async def test_a_failed_renewal_keeps_the_tokens_for_another_try(logged_in, server):
    server.will("POST /oauth/token", *[problem(503, "dependency_unavailable")] * 3, refreshed(1))
    with pytest.raises(errors.Unavailable):
        await logged_in.refresh()
    await logged_in.refresh()
    assert await logged_in.access_token() == "access-1"


async def test_a_login_during_a_renewal_keeps_its_own_tokens(logged_in, server):
    held = Held(refreshed(1))
    server.will("POST /oauth/token", held)
    renewal = asyncio.create_task(logged_in.refresh())
    await held.asked.wait()
    await logged_in.login("ada", PASSWORD)
    held.release.set()
    await renewal
    assert logged_in.tokens.access_token == "access-0"


# -- second factor and re-authentication -----------------------------------------------------------------------


ASKED = {"status": "mfa_required", "mfa_token": "secret-mfa", "factors": ["totp"], "expires_in": 300}
DONE = {"status": "authenticated", "session": SESSION, "access_token": "access-2", "refresh_token": "cyr_2"}
PROVEN_AGAIN = {"session": SESSION, "access_token": "access-3", "expires_in": 300, "token_type": "Bearer"}


async def test_a_login_that_asks_for_a_factor_is_finished_by_its_code(client, server):
    await client.register("ada", PASSWORD)
    server.will("POST /v1/login/finish", ok(ASKED))
    with pytest.raises(errors.FactorRequired) as caught:
        await client.login("ada", PASSWORD)
    assert (caught.value.factors, caught.value.expires_in) == (("totp",), 300)
    assert client.tokens is None
    server.will("POST /v1/login/mfa", problem(401, "mfa_failed"), ok({**DONE, "expires_in": 300}))
    with pytest.raises(errors.MfaFailed):
        await client.prove_factor(caught.value, "000000")
    assert (await client.prove_factor(caught.value, "123456")).username == "ada"
    assert client.tokens.refresh_token == "cyr_2"


async def test_a_re_authentication_keeps_the_refresh_token(logged_in, server):
    assert (await logged_in.reauthenticate(PASSWORD)).username == "ada"
    assert (logged_in.tokens.access_token, logged_in.tokens.refresh_token) == ("access-1", "cyr_0")
    server.will("POST /v1/reauthentication/finish", ok(ASKED))
    with pytest.raises(errors.FactorRequired) as caught:
        await logged_in.reauthenticate(PASSWORD)
    server.will("POST /v1/login/mfa", ok(PROVEN_AGAIN))
    await logged_in.prove_factor(caught.value, "123456")
    assert (logged_in.tokens.access_token, logged_in.tokens.refresh_token) == ("access-3", "cyr_0")


async def test_a_re_authentication_during_a_renewal_keeps_the_successor(logged_in, server):
    held = Held(refreshed(1))
    server.will("POST /oauth/token", held)
    renewal = asyncio.create_task(logged_in.refresh())
    await held.asked.wait()
    proof = asyncio.create_task(logged_in.reauthenticate(PASSWORD))
    while not server.count("POST /v1/reauthentication/finish"):
        await asyncio.sleep(0.01)
    held.release.set()
    await asyncio.gather(renewal, proof)
    assert (logged_in.tokens.access_token, logged_in.tokens.refresh_token) == ("access-1", "cyr_1")


@pytest.mark.parametrize("code", ["invalid_credentials", "mfa_failed"])
async def test_a_refused_proof_is_not_sent_again_with_another_token(logged_in, server, code):
    for route in ("POST /v1/reauthentication/finish", "POST /v1/factors/totp/confirm"):
        server.will(route, problem(401, code))
    with pytest.raises(CypherClientError) as caught:
        await logged_in.reauthenticate(PASSWORD)
    assert caught.value.code == code
    with pytest.raises(CypherClientError) as caught:
        await logged_in.confirm_totp("123456")
    assert caught.value.code == code
    assert server.count("POST /v1/reauthentication/finish") == server.count("POST /v1/factors/totp/confirm") == 1
    assert server.count("POST /oauth/token") == 0


# -- logging out ---------------------------------------------------------------------------------------------


async def test_logout_forgets_the_tokens(logged_in, server):
    await logged_in.logout()
    await logged_in.logout()
    assert server.count("DELETE /v1/session") == 1
    with pytest.raises(errors.NotLoggedIn):
        await logged_in.refresh()


async def test_logout_repeats_a_lost_answer_and_takes_an_ended_session_for_done(logged_in, server):
    server.will("DELETE /v1/session", drop, drop, problem(401, "session_expired"))
    await logged_in.logout()
    assert server.count("DELETE /v1/session") >= 3
    assert logged_in.tokens is None


async def test_failed_logout_keeps_the_tokens(logged_in, server):
    server.will("DELETE /v1/session", *[problem(503, "dependency_unavailable")] * 3)
    with pytest.raises(errors.Unavailable):
        await logged_in.logout()
    assert logged_in.tokens is not None


# -- repeats, time-outs, errors --------------------------------------------------------------------------------


async def test_reading_is_repeated_through_a_short_outage(logged_in, server):
    async def bad_gateway(request: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<h1>Bad gateway</h1>", content_type="text/html")

    server.will("GET /v1/session", problem(503, "dependency_unavailable", **{"Retry-After": "0"}), bad_gateway)
    assert (await logged_in.session()).username == "ada"
    assert server.count("GET /v1/session") == 3


async def test_reading_gives_up_after_the_third_attempt(logged_in, server):
    headers = {"Retry-After": "0", "X-Request-Id": "request-12345"}
    server.will("GET /v1/session", *[problem(503, "dependency_unavailable", **headers)] * 4)
    with pytest.raises(errors.Unavailable) as caught:
        await logged_in.session()
    assert (caught.value.status, caught.value.request_id, caught.value.retry_after) == (503, "request-12345", 0.0)
    assert server.count("GET /v1/session") == 3


async def test_server_that_never_answers_is_unreachable(server, clock):
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.will("POST /v1/login/start", hang)
    async with CypherClient(server.url, timeout=timedelta(milliseconds=100), clock=clock) as client:
        with pytest.raises(errors.Unreachable) as caught:
            await client.login("ada", PASSWORD)
    assert caught.value.sent


async def test_nobody_listening_is_unreachable_and_nothing_was_sent(clock):
    async with CypherClient(f"http://127.0.0.1:{unused_port()}", clock=clock, pauses=(0.0,)) as client:
        with pytest.raises(errors.Unreachable) as caught:
            await client.login("ada", PASSWORD)
    assert not caught.value.sent
    assert caught.value.status is None


async def test_redirects_are_not_followed(logged_in, server):
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/v1/elsewhere")

    server.will("GET /v1/session", elsewhere)
    with pytest.raises(errors.UnexpectedAnswer):
        await logged_in.session()
    assert server.count("GET /v1/elsewhere") == 0


@pytest.mark.parametrize("body", [[], {}, {**SESSION, "id": "no uuid"}])
async def test_success_that_is_not_the_contracts_is_an_unexpected_answer(logged_in, server, body):
    server.will("GET /v1/session", ok(body))
    with pytest.raises(errors.UnexpectedAnswer):
        await logged_in.session()


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (400, "malformed_opaque_message", errors.MalformedOpaqueMessage),
        (401, "invalid_credentials", errors.InvalidCredentials),
        (401, "mfa_failed", errors.MfaFailed),
        (403, "reauthentication_required", errors.ReauthenticationRequired),
        (409, "factor_exists", errors.FactorExists),
        (429, "factor_locked", errors.FactorLocked),
        (401, "unauthenticated", errors.Unauthenticated),
        (401, "session_expired", errors.SessionExpired),
        (403, "account_disabled", errors.AccountDisabled),
        (403, "account_locked", errors.AccountLocked),
        (403, "registration_closed", errors.RegistrationClosed),
        (404, "not_found", errors.NotFound),
        (409, "username_taken", errors.UsernameTaken),
        (410, "flow_expired", errors.FlowExpired),
        (422, "validation_failed", errors.ValidationFailed),
        (429, "rate_limited", errors.RateLimited),
        (503, "dependency_unavailable", errors.Unavailable),
        (418, "a_code_of_a_later_version", CypherClientError),
    ],
)
def test_every_code_has_its_class(status, code, cls):
    body = b'{"code": "%s", "title": "T.", "errors": [{"pointer": "/username", "code": "too_long"}]}' % code.encode()
    error = error_of(status, body, "request-1", 7.0)
    assert type(error) is cls
    assert (error.code, error.status, error.request_id, error.retry_after) == (code, status, "request-1", 7.0)
    assert str(error) == ("Too many attempts: try again in 7 seconds." if status == 429 else "T.")
    assert error.fields[0].pointer == "/username"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[]", b"{}", b'{"code": 1}'])
def test_error_that_is_not_the_contracts_is_an_unexpected_answer(body):
    error = error_of(500, body, None, None)
    assert type(error) is errors.UnexpectedAnswer
    assert error.code == "unexpected_answer"


@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>", b'{"error": "rate_limited"}'])
def test_too_many_requests_is_one_class_whoever_says_so(body):
    error = error_of(429, body, None, None)
    assert type(error) is errors.RateLimited
    assert (error.code, error.retry_after) == ("rate_limited", None)
    assert str(error) == "Too many attempts: try again later."


@pytest.mark.parametrize("route", ["POST /v1/login/start", "POST /v1/login/finish"])
async def test_a_login_that_is_refused_is_not_sent_again(client, server, route):
    await client.register("ada", PASSWORD)
    server.will(route, problem(429, "rate_limited", **{"Retry-After": "900"}))
    with pytest.raises(errors.RateLimited) as refusal:
        await client.login("ada", PASSWORD)
    assert refusal.value.retry_after == 900
    assert server.count(route) == 1


async def test_a_refresh_that_is_refused_keeps_the_session(logged_in, server):
    server.will("POST /oauth/token", ok({"error": "rate_limited"}, status=429))
    with pytest.raises(errors.RateLimited):
        await logged_in.refresh()
    assert server.count("POST /oauth/token") == 1
    assert (await logged_in.session()).username


# -- secrets ---------------------------------------------------------------------------------------------------


async def test_no_repr_shows_a_secret(logged_in):
    login, registration = start_login(PASSWORD), start_registration(PASSWORD)
    call = Call(method="GET", path="/", bearer="access-0", form=(("refresh_token", "cyr_0"),))
    asked = errors.FactorRequired("secret-mfa", ("totp",), 300)
    enrolment = errors.TotpEnrolment(secret="secret-mfa", otpauth_uri="secret-mfa", qr_svg="secret-mfa")
    shown = repr([logged_in, logged_in.tokens, login, registration, call, asked, str(asked), enrolment])
    for secret in ("secret-mfa", "access-0", "cyr_0", PASSWORD, repr(PASSWORD.encode())[2:-1], repr(login.state)[2:-1]):
        assert secret not in shown


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://host", "/v1"])
def test_base_url_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="base URL"):
        CypherClient(url)


async def test_client_that_was_not_entered_says_so():
    with pytest.raises(RuntimeError, match="async with"):
        await CypherClient("http://127.0.0.1:1").login("ada", PASSWORD)


async def test_session_handed_in_is_used_and_left_open(server):
    async with aiohttp.ClientSession() as http:
        async with CypherClient(server.url, session=http) as client:
            await client.register("ada", PASSWORD)
        assert not http.closed
