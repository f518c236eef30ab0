"""`cypher demo` tells the truth: what it calls ciphertext is what the servers hold, and it cleans up its session."""

import io
import re

import pytest
from rich.console import Console

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.demo import demo
from cypher.errors import OperatorError

KEY_ID = re.compile(r"cache-\d{8}-[0-9a-f]{8}:")


@pytest.fixture
async def shown(service):
    out = io.StringIO()
    async with resources(service.config, SystemClock()) as open_:
        await demo(service.url, open_, Console(file=out, width=160, highlight=False))
    return out.getvalue()


async def test_demo_shows_every_step_and_ciphertext_beside_what_the_person_sees(shown):
    for step in ("registered", "logged in", "recognised", "refreshed", "logged out"):
        assert step in shown
    rows = [line.split("│")[1:4] for line in shown.splitlines() if line.startswith("│")]
    cells = {what.strip(): (seen.strip(), held.strip()) for what, seen, held in rows}
    assert list(cells) == [
        *("username", "username_index", "opaque_record"),
        *("session_data", "ip_address", "token_hash"),
        "session",
    ]
    name = re.search(r"demo-[0-9a-f]{8}", shown).group()
    assert cells["username"][0] == name
    for seen, held in cells.values():
        assert len(held) > 30
        assert seen not in held
        assert name not in held
    assert "(nothing)" not in shown
    assert KEY_ID.match(cells["session"][1])


async def test_demo_of_a_service_on_other_servers_says_so_and_logs_out(service, start_service_elsewhere):
    elsewhere = await start_service_elsewhere()
    async with resources(service.config, SystemClock()) as open_:
        with pytest.raises(OperatorError, match="the same settings"):
            await demo(elsewhere.url, open_, Console(file=io.StringIO()))
    assert "session.session.ended" in await elsewhere.audited_actions()
