"""`cypher canary`: is the database worthless to a thief? Looked for, not believed."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from cypher.canary import Marks, Place, canary
from cypher.clock import SystemClock
from cypher.commands.as_client import as_client
from cypher.commands.running import JsonOption, run, servers
from cypher.commands.terminal import shown
from cypher.embedded import Embedded
from cypher.errors import OperatorError

app = typer.Typer(add_completion=False)


@app.command("canary")
def look(
    also: Annotated[
        list[Path] | None,
        typer.Option(help="A file to search as well: Redis' append-only file, a log. Can be repeated."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Plant a marked person through the service's own routes, and look for the marks in a dump, in Redis, in the log.

    The person stays, under a name that begins with canary, and nobody has the password.
    """
    with servers() as (config, embedded):
        files = [*(also or ()), *_files_of(embedded)]
        with as_client():
            places = run(canary(config, SystemClock(), files, Marks.draw()))
    if json:
        print(msgspec.json.encode({"items": places}).decode())
    else:
        _print(places)
    leaks = [f"{', '.join(place.found)} in {place.name}" for place in places if place.found]
    if leaks:
        raise OperatorError(f"Values stand in the clear: {'; '.join(leaks)}.")


def _files_of(embedded: Embedded | None) -> list[Path]:
    """Return what embedded servers write beside their data, and the append-only file."""
    if embedded is None:
        return []
    return [*embedded.path.glob("*.log"), *(embedded.path / "valkey").rglob("*.aof")]


def _print(places: list[Place]) -> None:
    table = Table(Column("where", overflow="fold"), "bytes", "a mark in the clear", "found of what was planted")
    for place in places:
        clear = "found" if place.would_be_found else "is not in it"
        table.add_row(shown(place.name), f"{place.size:,}", clear, shown(", ".join(place.found) or "nothing"))
    Console().print(table)
