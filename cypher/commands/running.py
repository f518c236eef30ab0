"""What every command does around its work: settings, servers, resources, the loop."""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop

from cypher.app import Resources, resources
from cypher.clock import SystemClock
from cypher.config import Config, load
from cypher.embedded import Embedded, complete
from cypher.errors import OperatorError
from cypher.postgres_errors import QueryFailed

T = TypeVar("T")
JsonOption = Annotated[bool, typer.Option("--json", help="Print the object that programs read.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@contextmanager
def servers() -> Iterator[tuple[Config, Embedded | None]]:
    """Read the settings, start what is embedded, and stop it at the end when nobody else uses it."""
    config, embedded = complete(load(os.environ, Path(".env")))
    try:
        yield config, embedded
    finally:
        if embedded:
            embedded.stop()


def with_resources(act: Callable[[Resources], Awaitable[None]]) -> None:
    """Do one piece of work on an open database, key ring and Redis."""

    async def work(config: Config) -> None:
        async with resources(config, SystemClock()) as open_:
            await act(open_)
            await open_.keys.note()

    with servers() as (config, _):
        run(work(config))


def run(work: Awaitable[T]) -> T:
    """Run to the end, on the loop that the service runs on; what PostgreSQL refuses is an OperatorError."""

    async def awaited() -> T:
        return await work

    try:
        return uvloop.run(awaited())
    except QueryFailed as exc:
        raise OperatorError(
            f"PostgreSQL refuses a query ({exc}). Was this database's schema changed since `cypher migrate` made it?"
        ) from exc


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be taken back; raises OperatorError where there is nobody to be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"{question} Say --yes, or run this at a terminal.")
    typer.confirm(question, abort=True)
