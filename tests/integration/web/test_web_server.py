import asyncio
import json
import logging
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from web_fakes import ACCESS_TOKEN, Fakes, Running, config_of

from cypher.web.application import make_web_app
from cypher.web.server import WebServer
from tests.mutations import edited

CANARY = "CANARY"
GET = "GET /health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        f"{CANARY}\r\n\r\n",
        f"{CANARY} / HTTP/1.1\r\n\r\n",
        f"GET /{CANARY} HTTP/9.9\r\n\r\n",
        f"GET  /{CANARY} HTTP/1.1\r\n\r\n",
        f"GET /health/live\x00{CANARY} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET http://[{CANARY}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET http://x:{CANARY}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{GET}{CANARY}\r\n\r\n",
        f"{GET}{CANARY} : x\r\n\r\n",
        f"{GET}X: {CANARY}\x00\r\n\r\n",
        f"{GET}X: {CANARY}\x01\r\n\r\n",
        f"{GET}X-{CANARY}\xe9: x\r\n\r\n",
        f"{GET}X: {CANARY * 3000}\r\n\r\n",
        f"GET /{CANARY * 3000} HTTP/1.1\r\n\r\n",
        GET + "".join(f"X-{CANARY}-{number}: x\r\n" for number in range(500)) + "\r\n",
        f"{GET}Content-Length: {CANARY}\r\n\r\n",
        f"{GET}Content-Length: -1\r\n\r\n",
        f"{GET}Content-Length: {'9' * 100}\r\n\r\n",
        f"{GET}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{CANARY}",
        f"{GET}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}",
        f"{GET}Transfer-Encoding: {CANARY}\r\n\r\n",
        f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{CANARY}",
        f"\x16\x03\x01\x02\x00\x01\x00{CANARY}",
    ],
    ids=range(23),
)
async def test_what_is_not_http_is_400_and_quoted_nowhere(
    running: Running, sent: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    answers = await running.send(sent.encode("latin-1"), until_closed=True)
    answer = answers[-1]
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")
    assert answer.closed
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.headers["server"] == "cypher"
    assert CANARY.encode() not in answer.body
    assert CANARY not in str(answer.headers)
    assert CANARY not in caplog.text
    assert len([record for record in caplog.records if record.name == "cypher.web"]) == len(answers)


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", f"/{CANARY}"])
@pytest.mark.parametrize("expected", [CANARY, f"{CANARY}\xff"])
async def test_an_unknown_expectation_is_refused_without_being_quoted(running: Running, path: str, expected: str):
    sent = f"GET {path} HTTP/1.1\r\nHost: x\r\nExpect: {expected}\r\n\r\n"
    [answer] = await running.send(sent.encode("latin-1"), until_closed=True)
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")
    assert CANARY.encode() not in answer.body
    assert "x-request-id" in answer.headers


async def test_a_client_that_waits_for_100_continue_is_served(running: Running):
    body = json.dumps({"flow_id": "f", "ke3": "x"}).encode()
    sent = "POST /v1/login/finish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    answers = await running.send(f"{sent}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert [answer.status for answer in answers] == [100, 400]
    assert answers[1].json()["code"] == "malformed_opaque_message"


@pytest.mark.parametrize(
    "sent",
    [
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT canary:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://canary/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health/live HTTP/1.0\r\n\r\n",
        f"{GET}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        f"{GET}Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\ncanary",
        f"{GET}Cookie: canary=\x80\r\n\r\n",
        f"{GET}Content-Encoding: canary\r\n\r\n",
        f"{GET}Content-Length: 6\r\n\r\ncanary",
        "GET /health/live?%ff=%00&canary HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health/live#canary HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health/live HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost: canary/\r\n\r\n",
        "GET //canary HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /canary\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET canary HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /canary\r\n\r\n",
        "POST /v1/login/start HTTP/1.1\r\nHost: x\r\nContent-Type: canary\r\nContent-Type: canary\r\n\r\n",
    ],
    ids=range(18),
)
async def test_odd_http_is_answered_and_quoted_nowhere(running: Running, sent: str):
    answer = (await running.send(sent.encode("latin-1")))[0]
    assert answer.status in (200, 400, 404, 405)
    assert b"canary" not in answer.body
    assert "x-request-id" in answer.headers


REQUEST = (
    "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    f"Authorization: Bearer {ACCESS_TOKEN}\r\nContent-Length: 47\r\n\r\n"
    "grant_type=refresh_token&refresh_token=cyr_12345"
).encode()


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edited(REQUEST))
def test_no_mutation_of_a_request_makes_a_5xx(sent: bytes):
    asyncio.run(_send_alone(sent))


async def _send_alone(sent: bytes) -> None:
    server = await WebServer.start(make_web_app(Fakes().services(), config_of()), "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        try:
            async with asyncio.timeout(0.1):  # an unfinished request gets no answer yet
                received = await reader.read(65536)
        except (TimeoutError, ConnectionResetError):
            received = b""
        writer.close()
        assert received == b"" or received[9:12] < b"500"
    finally:
        await server.stop()


async def test_pipelined_requests_are_answered_in_order(running: Running):
    sent = f"{GET}\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n{GET}\r\n".encode()
    assert [answer.status for answer in await running.send(sent)] == [200, 404, 200]


async def test_a_body_that_nobody_read_is_not_taken_for_a_request(running: Running):
    smuggled = b"GET /v1/config HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = f"{GET}Content-Length: {len(smuggled)}\r\n\r\n".encode() + smuggled
    answers = await running.send(sent, until_closed=True)
    assert [answer.status for answer in answers] == [200]


@pytest.mark.parametrize(
    "sent",
    [
        f"{GET}Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        f"{GET}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_follows_the_wish_for_another_protocol_is_not_taken_for_a_request(running: Running, sent: str):
    [answer] = await running.send(f"{sent}{GET}\r\n".encode(), until_closed=True)
    assert answer.status in (200, 404)
    assert answer.closed


async def test_stopping_lets_a_running_request_finish(running: Running, fakes: Fakes):
    fakes.gate = asyncio.Event()
    request = asyncio.create_task(
        running.client.get(running.url("/v1/session"), headers={"Authorization": f"Bearer {ACCESS_TOKEN}"})
    )
    await fakes.entered.wait()
    stopping = asyncio.create_task(running.server.stop())
    await asyncio.sleep(0)
    with pytest.raises(OSError):  # noqa: PT011
        await asyncio.open_connection("127.0.0.1", running.server.port)
    fakes.gate.set()
    async with await request as response:
        assert response.status == 200
    await stopping


async def test_stopping_does_not_wait_for_idle_connections(fakes: Fakes):
    server = await WebServer.start(
        make_web_app(fakes.services(), config_of()), "127.0.0.1", 0, drain=timedelta(hours=1)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{GET}\r\n".encode())
    await reader.readuntil(b"}")
    async with asyncio.timeout(2):
        await server.stop()
    assert await reader.read() == b""
    writer.close()


async def test_a_taken_address_is_an_oserror(running: Running, fakes: Fakes):
    with pytest.raises(OSError, match="address already in use"):
        await WebServer.start(make_web_app(fakes.services(), config_of()), "127.0.0.1", running.server.port)


async def test_two_servers_run_in_one_process(running: Running, fakes: Fakes):
    other = await WebServer.start(make_web_app(fakes.services(), config_of()), "127.0.0.1", 0)
    other.announce_stop()
    async with running.client.get(running.url("/health/ready")) as response:
        assert response.status == 200
    await other.stop()
