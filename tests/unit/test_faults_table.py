"""The table of faults says what came of each, and what did not hold."""

import io
from datetime import UTC, datetime

from rich.console import Console

from bench.machine import Setting
from tests.faults import table
from tests.faults.books import Invariant, Phase, Seen, counts
from tests.faults.catalogue import FAULTS
from tests.faults.runner import Outcome

GOOD = Outcome(
    name="a fault",
    lasted=4.04,
    recovered=0.0,
    good=1234,
    refused=5,
    unavailable=67,
    other=0,
    slowest=0.456,
    ready="ok",
)
BAD = Outcome(
    name="another",
    lasted=2.0,
    recovered=1.26,
    good=1,
    refused=0,
    unavailable=0,
    other=2,
    slowest=9.0,
    ready="not ready",
    broken=[(Invariant.IN_TIME, "after the fault: it took 9.00 s")] * 2,
)


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in FAULTS}) == len({kind.__name__ for kind in FAULTS}) == len(FAULTS)


def test_answers_are_counted_by_their_kind() -> None:
    seen = [Seen(Phase.DURING, 0.0, 0.1, "GET /", status) for status in (200, 201, 204, 401, 503, 503, 500, 0)]
    assert counts(seen) == (3, 1, 2, 2)


def test_a_page_has_a_row_for_each_and_a_line_for_what_does_not_hold() -> None:
    setting = Setting(
        made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        command="python -m tests.faults",
        commit="0123456789",
        machine="a CPU",
        cores=2,
        versions=["Python 3.11", "PostgreSQL 18", "msgspec 1"],
        load="us",
    )
    page = table.markdown([GOOD, BAD], setting).splitlines()
    assert page[0].strip() == "2026-01-02 03:04 UTC, commit 0123456789: python -m tests.faults"
    assert page[2].strip() == "Python 3.11, PostgreSQL 18"
    assert "| a fault | 4.0 s | 1,306 | 1,234 | 5 | 67 | 0 | 0.46 s | ok | at once | all hold |" in page
    assert "| another | 2.0 s | 3 | 1 | 0 | 0 | 2 | 9.00 s | not ready | 1.3 s | in_time |" in page
    assert page[-1] == f"- another: {Invariant.IN_TIME.value}: after the fault: it took 9.00 s"


def test_a_terminal_shows_the_same() -> None:
    shown = io.StringIO()
    table.show([GOOD, BAD], Console(file=shown))
    assert all(cell in shown.getvalue() for cell in (*table.cells(GOOD), *table.cells(BAD)))
