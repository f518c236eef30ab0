"""`cypher import`: people from another system, with their passwords, without anybody's knowing them."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cypher.app import Resources
from cypher.auth.opaque import accept_setup
from cypher.commands.running import with_resources
from cypher.crypto import base64url
from cypher.errors import MalformedOpaqueMessage, OperatorError
from cypher.maintenance.importing import Imported, Importing, Refusal
from cypher.operating import importing

app = typer.Typer(add_completion=False)

COLUMNS = (TextColumn("{task.description:24}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())


@app.command("import")
def import_people(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A person in each line, as JSON.")],
    opaque_setup: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The server setup of the records: 128 bytes, or their base64."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, and say what would be.")] = False,
) -> None:
    """Take people over from another system. What is refused goes to standard output, a line of JSON each.

    Whoever is there already stays as they are: after an interruption, run it again.
    """
    setup = _setup(opaque_setup) if opaque_setup else None

    size = file.stat().st_size

    async def take_over(open_: Resources) -> None:
        work = importing(open_, _print_refusal)
        setup_id = "not-kept-in-a-dry-run" if setup and dry_run else await work.keep_setup(setup) if setup else None
        with file.open("rb") as lines:
            await _run(work, lines, size, setup_id, dry_run=dry_run)

    with_resources(take_over)


async def _run(work: Importing, lines: Iterable[bytes], size: int, setup_id: str | None, *, dry_run: bool) -> None:
    console = Console(stderr=True)
    # Refusals stand above the bar where both are on a terminal; a file or a pipe gets them past it.
    shared = sys.stdout.isatty()
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal, redirect_stdout=shared) as bar:
        task = bar.add_task("", total=size)
        work.report = lambda now: bar.update(task, completed=now.bytes, description=f"{now.imported:,} people")
        done = await work.run(lines, setup_id, dry_run=dry_run)
    console.print(_told(done, dry_run=dry_run), highlight=False, soft_wrap=True)
    if done.refused:
        raise OperatorError(f"{done.refused} of {done.lines} lines were refused; standard output says which and why.")


def _told(done: Imported, *, dry_run: bool) -> str:
    taken = "would be taken over" if dry_run else "were taken over"
    return f"{done.imported:,} people {taken}, {done.skipped:,} were there already."


def _print_refusal(refusal: Refusal) -> None:
    print(msgspec.json.encode(refusal).decode())


def _setup(file: Path) -> bytes:
    raw = file.read_bytes()
    try:
        text = raw.decode("ascii").strip().rstrip("=").replace("+", "-").replace("/", "_")
        raw = base64url.decode(text)
    except ValueError:
        pass  # then it is the bytes themselves
    try:
        return accept_setup(raw)
    except MalformedOpaqueMessage as exc:
        raise OperatorError(f"{file} is no server setup of OPAQUE (128 bytes, or their base64).") from exc
