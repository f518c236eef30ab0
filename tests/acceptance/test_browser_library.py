"""The library that browsers use (@serenity-kit/opaque, in Node) against the same service as the Python client."""

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cypher.client import CypherClient
from cypher.clock import new_bytes

NODE_FOLDER = Path(__file__).parents[1] / "node"
PASSWORD = "correct hörse battery ステープル"  # beyond ASCII: both sides must take it as the same UTF-8
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
RUN_SECONDS = 60


def _missing() -> str | None:
    if shutil.which("node") is None:
        return "Node is missing: install nodejs and npm, then run `make tests/node/node_modules`"
    if not (NODE_FOLDER / "node_modules" / "@serenity-kit" / "opaque").is_dir():
        return "The browser's library is missing: run `make tests/node/node_modules` (or `npm ci` in tests/node)"
    return None


MISSING = _missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


async def drive(url: str, username: str, password: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "browser.mjs",
        url,
        username,
        cwd=NODE_FOLDER,
        env={**os.environ, "CYPHER_TEST_PASSWORD": password},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    assert process.returncode == 0, err.decode()
    return msgspec.json.decode(out)


async def test_browser_library_registers_and_logs_in_and_so_does_the_python_client_after_it(service):
    username = f"browser-{new_bytes(6).hex()}"
    seen = await drive(service.url, username, PASSWORD)

    assert seen["user"]["username"] == username
    assert seen["session"]["user_id"] == seen["user"]["id"]
    assert seen["session"]["amr"] == ["opaque"]
    assert seen["config"]["opaque"]["ksf"] == {
        "name": "argon2id",
        "memory_kib": 19456,
        "iterations": 2,
        "parallelism": 1,
    }
    assert seen["public_key_matches"]
    assert all(BASE64URL.fullmatch(message) for message in seen["messages"])

    async with CypherClient(service.url) as client:
        session = await client.login(username, PASSWORD)
        assert str(session.user_id) == seen["user"]["id"]
