"""`/openapi.json` and `/docs` as they are served."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping

import msgspec
import pytest
from web_fakes import Fakes, Running

from cypher.web.openapi.describe import describe
from cypher.web.routes import ROUTES

PATHS = ("/openapi.json", "/docs")


async def _get(running: Running, path: str, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    async with running.client.get(running.url(path), headers=headers) as response:
        return response.status, response.headers, await response.read()


async def test_the_document_is_that_of_the_route_table(running: Running, fakes: Fakes):
    status, headers, body = await _get(running, "/openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == json.loads(msgspec.json.encode(describe(ROUTES)))
    assert fakes.calls == []


@pytest.mark.parametrize("path", PATHS)
async def test_who_has_it_already_is_told_so(running: Running, path: str):
    _, headers, body = await _get(running, path)
    tag = headers["ETag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        status, again, nothing = await _get(running, path, **{"If-None-Match": known})
        assert (status, again["ETag"], nothing) == (304, tag, b"")
    for unknown in ('"other"', "junk", ""):
        assert (await _get(running, path, **{"If-None-Match": unknown}))[::2] == (200, body)


async def test_the_page_may_load_nothing_but_its_own_style(running: Running):
    status, headers, body = await _get(running, "/docs")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    style = re.search(rb"<style>(.*)</style>", body, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert b"url(" not in style[1]
    assert b"@import" not in style[1]
