"""What a process writes to standard error: JSON, each request with its id and without its secrets."""

import signal

import aiohttp

from cypher.client import CypherClient
from tests.acceptance.own_process import serve

PASSWORD = "correct horse battery staple"


async def test_every_line_is_an_object_and_a_request_is_found_by_its_id(environment: dict[str, str]) -> None:
    async with serve(environment, LOG_LEVEL="debug", LOG_FORMAT="json") as serving:
        await serving.announced()
        async with CypherClient(serving.url) as client:
            await client.register("ada-the-first", PASSWORD)
            await client.login("ada-the-first", PASSWORD)
            token = await client.access_token()
        headers = {"X-Request-Id": "looked-for-1", "Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{serving.url}/v1/session?name=ada-the-first") as answer,
        ):
            assert answer.status == 200
        serving.process.send_signal(signal.SIGTERM)
        assert await serving.ended() == 0
    lines = serving.lines()
    assert all({"time", "level", "logger", "process", "event"} <= line.keys() for line in lines)
    (found,) = [line for line in lines if line.get("request_id") == "looked-for-1"]
    assert (found["event"], found["route"], found["status"]) == ("request", "/v1/session", 200)
    everything = "".join(serving.logged)
    for secret in ("ada-the-first", PASSWORD, token, environment["MASTER_ENCRYPTION_PASSWORD"]):
        assert secret not in everything
