"""Outcomes as a table: on a terminal, and in Markdown for a page."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.machine import Setting
from bench.tables import row
from tests.faults.runner import Outcome

COLUMNS = (
    "fault",
    "lasted",
    "requests",
    "2xx",
    "4xx",
    "503",
    "other",
    "slowest",
    "ready says",
    "recovered after",
    "invariants",
)
#: What the numbers were made with beside the servers.
NAMED = ("Python", "PostgreSQL", "Valkey", "aiohttp", "asyncpg", "redis ")
WIDTH = 170


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    console.width = max(console.width, WIDTH)
    table = Table(*COLUMNS)
    for outcome in outcomes:
        table.add_row(*map(escape, cells(outcome)), style="red" if outcome.broken else None)
    console.print(table)
    for line in findings(outcomes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def markdown(outcomes: Sequence[Outcome], setting: Setting) -> str:
    """Return the part of a page that one run fills."""
    versions = ", ".join(each for each in setting.versions if each.startswith(NAMED))
    return "\n".join(
        [
            f"{setting.made_at:%Y-%m-%d %H:%M} UTC, commit {setting.commit}: {setting.command}  ",
            f"{setting.machine}, {setting.cores} cores  ",
            f"{versions}  ",
            "",
            row(COLUMNS),
            row(["---"] * len(COLUMNS)),
            *(row(cells(outcome)) for outcome in outcomes),
            "",
            *(f"- {line}" for line in findings(outcomes)),
        ]
    )


def cells(outcome: Outcome) -> list[str]:
    """Write an outcome for COLUMNS."""
    numbers = (outcome.sent, outcome.good, outcome.refused, outcome.unavailable, outcome.other)
    return [
        outcome.name,
        f"{outcome.lasted:.1f} s",
        *(f"{number:,}" for number in numbers),
        f"{outcome.slowest:.2f} s",
        outcome.ready,
        f"{outcome.recovered:.1f} s" if outcome.recovered else "at once",
        ", ".join(sorted({invariant.name.lower() for invariant, _ in outcome.broken})) or "all hold",
    ]


def findings(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say what did not hold."""
    for outcome in outcomes:
        for invariant, what in outcome.broken:
            yield f"{outcome.name}: {invariant.value}: {what}"
