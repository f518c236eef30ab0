"""How `cypher audit` writes entries and findings: tables for people, JSON for programs, progress on standard error."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from cypher.auth.entries import EntryView
from cypher.auth.visible import visible
from cypher.commands.terminal import shown
from cypher.errors import OperatorError
from cypher.maintenance.verification import Verified

WIDTH = 160


def print_entries(entries: Sequence[EntryView], *, json: bool) -> None:
    """Print entries in this order, as a table or as one JSON object a line."""
    if json:
        for entry in entries:
            print(visible(msgspec.json.encode(entry)), flush=True)
        return
    whole = (Column("time (UTC)", no_wrap=True, min_width=19), Column("action", no_wrap=True, min_width=28))
    table = Table(*whole, "outcome", "who", "user", "address", "times", "note")
    for entry in entries:
        details = entry.details
        table.add_row(
            f"{entry.occurred_at:%Y-%m-%d %H:%M:%S}",
            shown(entry.action),
            shown(f"{entry.outcome} {entry.reason or ''}".strip()),
            shown(entry.actor.type),
            shown(details.username if details and details.username else entry.user_id),
            shown(details.address if details else "(erased)"),
            shown(details.count if details else ""),
            shown(details.note if details else ""),
        )
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)


def tell(done: Verified, *, json: bool, with_checkpoint: bool) -> None:
    """Say what a verification has found; raises OperatorError for a trail that does not hold."""
    if json:
        print(visible(msgspec.json.encode(done)))
    else:
        for line in _lines(done, with_checkpoint=with_checkpoint):
            print(line)
    if done.finding:
        raise OperatorError(f"The audit trail does not hold ({done.finding.attack}). {done.finding.sentence}")


def _lines(done: Verified, *, with_checkpoint: bool) -> Iterator[str]:
    yield f"{done.seals:,} seals over {done.entries:,} entries were checked."
    for each in done.removed:
        yield f"Removed by retention: {each.entries:,} entries of {each.month.replace('_', '-')} ({each.retention})."
    if done.unsealed:
        since = f", the oldest since {done.oldest_unsealed:%Y-%m-%d %H:%M:%S} UTC" if done.oldest_unsealed else ""
        yield f"{done.unsealed:,} entries are not sealed yet{since}: a running service seals within seconds."
    if done.finding:
        return
    if not with_checkpoint:
        yield "Without a checkpoint (--checkpoint FILE) it is not proven that nothing was cut off at the end."
    elif done.checkpoint_no:
        yield f"Checkpoints vouch for it up to seal {done.checkpoint_no:,}."
    yield "The trail holds."


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error; gives what moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("entries", total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def output_to(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a new file that only its owner reads, or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise OperatorError(f"{path} cannot be made ({exc.strerror}).") from exc
    with open(file, "wb") as opened:
        yield opened


@contextmanager
def lines_of(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Open a file for reading line by line."""
    if path is None:
        yield None
        return
    try:
        opened = path.open("rb")
    except OSError as exc:
        raise OperatorError(f"{path} cannot be read ({exc.strerror}).") from exc
    with opened:
        yield opened
