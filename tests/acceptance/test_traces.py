"""Traces by OpenTelemetry's own instrumentation, as docs/operations.md sets it up: whole, and without a secret."""

import json
import re
import signal
import sys
import sysconfig
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cypher.client import CypherClient, CypherClientError
from cypher.config import PostgresConfig
from tests.acceptance.service import ROOT, free_port, spawn
from tests.factories import as_owner

INSTRUMENT = Path(sysconfig.get_path("scripts"), "opentelemetry-instrument")
PASSWORD, NAME = "correct horse battery staple", "ada-of-the-traces"
REQUESTS = ("POST /v1/registration/finish", "POST /v1/login/finish", "GET /v1/session")
FORGED = "00-11112222333344445555666677778888-1111222233334444-01"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTRUMENT.exists(), reason="no OpenTelemetry here: pip install 'cypher[otel]'"),
]


def settings_of_the_page() -> dict[str, str]:
    """Return what the page says to take; every span, to a screen, at once."""
    [block] = re.findall(r"```env\n(OTEL_.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.S)
    settings = dict(line.split("=", 1) for line in block.splitlines())
    return settings | {
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


def spans_in(text: str) -> list[dict[str, Any]]:
    """Return every span that was printed among other lines."""
    found, decoder, at = [], json.JSONDecoder(), 0
    while (at := text.find("{\n", at)) != -1:
        span, at = decoder.raw_decode(text, at)
        found.append(span)
    return found


async def lived(url: str, operators: str, postgres: PostgresConfig) -> str:
    """Register, log in, be validated, ask as an operator, meet an error of PostgreSQL; returns the access token."""
    async with CypherClient(url) as client, aiohttp.ClientSession() as http:
        await client.register(NAME, PASSWORD)
        await client.login(NAME, PASSWORD)
        token = await client.access_token()
        headers = {"Authorization": f"Bearer {token}", "Cookie": "a=cookie-canary", "traceparent": FORGED}
        async with http.get(f"{url}/v1/session", headers=headers) as answer:
            assert answer.status == 200
        async with http.get(f"{operators}/admin/v1/users?username={NAME}") as answer:
            assert answer.status == 401
        as_owner(postgres, "ALTER TABLE users RENAME TO nobody")
        with pytest.raises(CypherClientError):
            await client.login(NAME, PASSWORD)
    return token


async def printed(environment: dict[str, str], postgres: PostgresConfig, workers: str) -> tuple[str, str]:
    """Return what a service with traces prints in its life, and the token that it gave."""
    addresses = {"PORT": str(free_port()), "ADMIN_PORT": str(free_port())}
    command = (str(INSTRUMENT), sys.executable, "-m", "cypher", "serve", "--workers", workers)
    process = await spawn({**environment, **settings_of_the_page(), **addresses}, *command)
    assert process.stdout is not None
    said = ""

    async def read_until(word: str) -> None:
        nonlocal said
        while word not in said:
            line = (await process.stdout.readline()).decode()
            assert line, process.stderr and await process.stderr.read()
            said += line

    try:
        await read_until("Ctrl-C")
        token = await lived(*(f"http://127.0.0.1:{port}" for port in addresses.values()), postgres)
        for name in REQUESTS:
            await read_until(f'"name": "{name}"')
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
    assert process.returncode == 0
    return said + out.decode(), token


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_login_is_one_trace_down_to_its_statements_and_holds_no_secret(
    environment: dict[str, str], postgres_config: PostgresConfig, workers: str
) -> None:
    text, token = await printed(environment, postgres_config, workers)
    spans = spans_in(text)
    requests = {span["name"]: span["context"] for span in spans if span["kind"] == "SpanKind.SERVER"}
    assert set(REQUESTS) <= set(requests)
    assert not [name for name in requests if "/admin" in name]
    login = requests["POST /v1/login/finish"]["span_id"]
    assert {"SELECT", "WITH"} <= {span["name"] for span in spans if span["parent_id"] == login}
    assert requests["GET /v1/session"]["trace_id"].removeprefix("0x") not in FORGED
    for secret in (NAME, PASSWORD, token, "cookie-canary", "Bearer", "cyr_", "exception.message"):
        assert secret not in text
