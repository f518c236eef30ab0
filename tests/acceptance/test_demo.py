"""`cypher demo` tells the truth: what it calls ciphertext is what the servers hold, and it cleans up its session."""

import io
import re

import pytest
from rich.console import Console

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.demo import demo

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
    name = re.search(r"demo-[0-9a-f]{8}", shown).group()
    username_row = next(line for line in shown.splitlines() if line.startswith("│ username "))
    assert name in username_row
    assert name not in username_row.split("│")[3]
    assert "(nothing)" not in shown
    assert KEY_ID.search(shown)
