"""`cypher canary` finds nothing, and would find something."""

import json
from pathlib import Path

import pytest

from cypher.canary import Marks, canary
from cypher.clock import SystemClock
from cypher.errors import OperatorError


async def test_it_plants_searches_and_finds_nothing(service, run_cli, tmp_path: Path) -> None:
    (tmp_path / "other.log").write_text("nothing to see here\n")
    done = await run_cli(service, "canary", "--also", str(tmp_path / "other.log"), "--json")
    assert done.returncode == 0, done.stderr
    places = {place["name"]: place for place in json.loads(done.stdout)["items"]}
    assert [place["found"] for place in places.values()] == [[], [], [], []]
    assert [place["would_be_found"] for place in places.values()] == [True, True, True, False]
    assert places["pg_dump"]["size"] > 10_000
    assert "auth.login.attempted" in await service.audited_actions()
    people = await service.fetch("SELECT count(*) FROM users")
    assert people[0]["count"] == 1
    table = await run_cli(service, "canary")
    assert table.returncode == 0, table.stderr
    assert "nothing" in table.stdout


async def test_what_leaks_is_named_with_its_place(service, tmp_path: Path) -> None:
    marks = Marks.draw()
    await service.execute(f"CREATE TABLE leak AS SELECT '{marks.username.upper()}'::text AS name")
    (tmp_path / "proxy.log").write_text(f"GET / from {marks.address}\n")
    try:
        places = await canary(service.config, SystemClock(), [tmp_path / "proxy.log"], marks)
    finally:
        await service.execute("DROP TABLE leak")
    assert [(place.name.split("/")[-1], place.found) for place in places if place.found] == [
        ("pg_dump", ("username",)),
        ("proxy.log", ("address",)),
    ]


async def test_a_search_that_is_blind_proves_nothing(service, monkeypatch) -> None:
    async def nothing(_: object):
        for line in ():
            yield line

    monkeypatch.setattr("cypher.canary._dump", nothing)
    with pytest.raises(OperatorError, match="not found in: pg_dump"):
        await canary(service.config, SystemClock(), [], Marks.draw())
