"""Results as tables: on a terminal, and in Markdown for a page."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.compare import Difference
from bench.harness import Compared
from bench.results import Document, Measured
from cypher.errors import OperatorError

#: A narrower table breaks the names of its scenarios.
WIDTH = 160
COLUMNS = ("scenario", "per second", "p50", "p95", "p99", "CPU s / 1000 (floor)", "floor", "cost in floors", "must be")
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def show(document: Document, console: Console) -> None:
    """Print a table for each group, under the state that it was measured in."""
    for (group, state), results in _groups(document):
        table = Table(*COLUMNS, title=f"[b]{group}[/b]: {escape(state)}", title_justify="left", title_style="")
        for result in results:
            table.add_row(*map(escape, cells(result)), style="red" if result.misses else None)
        console.print(table)
    for line in about(document):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_differences(differences: Iterable[Difference], console: Console) -> None:
    """Print what became of each scenario since an earlier run."""
    table = Table("scenario", "before", "now", "")
    for each in differences:
        before, now = ("-" if ratio is None else f"{ratio:.2f}" for ratio in (each.before, each.now))
        table.add_row(escape(f"{each.group}: {each.name}"), before, now, each.verdict)
    console.print(table)


def markdown(document: Document) -> str:
    """Return the part of a page that one run fills."""
    lines = []
    for (group, state), results in _groups(document):
        lines += ["", f"### {group}", "", state, "", row(COLUMNS), row(["---"] * len(COLUMNS))]
        lines += [row(cells(result)) for result in results]
    return "\n".join([*(f"{line}  " for line in about(document)), *lines, ""])


def put_into(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise OperatorError(f"{page} has no place for results: the lines {BEGIN} and {END}.")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def about(document: Document) -> list[str]:
    """Say where the numbers come from, and what is not among them."""
    about = document.setting
    return [
        f"{about.made_at:%Y-%m-%d %H:%M} UTC, commit {about.commit}: {about.command}",
        f"{about.machine}, {about.cores} cores; load from {about.load}",
        ", ".join(about.versions),
        *document.notes,
    ]


def duration(seconds: float) -> str:
    """Write a time with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _groups(document: Document) -> Iterator[tuple[tuple[str, str], list[Measured]]]:
    for key, results in groupby(document.results, key=lambda result: (result.group, result.state)):
        yield key, list(results)


def cells(result: Measured) -> list[str]:
    """Write a result for COLUMNS."""
    return [
        result.name,
        f"{result.per_second:,.0f}" if result.per_second >= 10 else f"{result.per_second:.2f}",
        *map(duration, (result.p50, result.p95, result.p99)),
        f"{result.cpu:.3f} ({result.floor_cpu:.3f})",
        result.floor + (", CPU" if result.compared is Compared.CPU else ""),
        f"{result.ratio.middle:.2f} ({result.ratio.low:.2f} to {result.ratio.high:.2f})",
        _promise(result),
    ]


def _promise(result: Measured) -> str:
    target, said = result.target, []
    if target.ratio is not None:
        said.append(f"≤ {target.ratio:.2f}")
    if target.tail is not None:
        said.append(f"p99 ≤ {target.tail:.2f}: {result.tail:.2f}")
    if target.p99 is not None:
        said.append(f"p99 ≤ {duration(target.p99)}")
    return "; ".join(said) + (f" (missed: {', '.join(result.misses)})" if result.misses else "")


def _three_digits(number: float) -> str:
    return f"{number:.{max(0, 2 - len(str(int(number))) + 1)}f}"


def row(cells: Iterable[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
