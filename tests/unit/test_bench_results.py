"""What the bench suite says of its results: tables, pages, what is a regression and what is noise."""

import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace as replace_dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from bench import report, results, tables
from bench.cli import parser
from bench.compare import Verdict, compare, regressions
from bench.figures import Spread
from bench.harness import Compared, Target
from bench.machine import Setting
from bench.report.axes import LogAxis
from bench.results import Document, Measured
from bench.suite import GROUPS, Choice
from cypher.errors import OperatorError

SETTING = Setting(
    made_at=datetime(2026, 11, 27, 12, tzinfo=UTC),
    command="python -m bench",
    commit="0123456789",
    machine="Linux x86_64, a <CPU> & more",
    cores=2,
    versions=["Python 3.11.7"],
    load="wrk 4.1.0",
)
SEAL = Measured(
    group="codec",
    state="a ring of its own",
    name="seal 64 B, 1 key",
    floor="Fernet.encrypt",
    compared=Compared.TIME,
    target=Target(ratio=1.5),
    operations=1000,
    per_second=80_000,
    p50=12.5e-6,
    p95=20e-6,
    p99=31e-6,
    cpu=0.0125,
    floor_cpu=0.01,
    ratio=Spread(1.2, 1.3, 1.4),
    tail=1.1,
    ratios=[1.2, 1.3, 1.4],
    latencies=[10e-6, 12e-6, 31e-6],
    floor_latencies=[8e-6, 9e-6, 20e-6],
)


def run(*found: Measured) -> Document:
    return Document(setting=SETTING, notes=[], results=list(found))


def at(low: float, middle: float, high: float) -> Measured:
    return replace(SEAL, ratio=Spread(low, middle, high))


# -- compared with an earlier run ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (at(1.2, 1.3, 1.4), Verdict.SAME),
        (at(1.4, 1.5, 1.6), Verdict.REGRESSION),
        (at(1.35, 1.49, 1.6), Verdict.SAME),  # not by more than 15 %
        (at(1.2, 1.6, 1.9), Verdict.SAME),  # some rounds were as cheap as before
        (at(1.0, 1.1, 1.2), Verdict.BETTER),
        (at(1.0, 1.1, 1.35), Verdict.SAME),
    ],
)
def test_only_what_is_beyond_threshold_and_noise_is_a_change(now: Measured, verdict: Verdict) -> None:
    (difference,) = compare(run(now), run(SEAL), 0.15)
    assert difference.verdict is verdict
    assert (difference.before, difference.now) == (1.3, now.ratio.middle)
    assert regressions([difference]) == ([difference] if verdict is Verdict.REGRESSION else [])


def test_threshold_is_the_callers() -> None:
    now = at(1.4, 1.5, 1.6)
    assert regressions(compare(run(now), run(SEAL), 0.1))
    assert not regressions(compare(run(now), run(SEAL), 0.2))


def test_what_only_one_run_has_is_no_regression() -> None:
    new, other_floor = replace(SEAL, name="open"), replace(SEAL, floor="limits")
    found = compare(run(SEAL, new), run(SEAL, other_floor))
    assert [each.verdict for each in found] == [Verdict.SAME, Verdict.NEW, Verdict.GONE]
    assert not regressions(found)


# -- kept ---------------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "new" / "run.json"
    results.write(run(SEAL), file)
    assert results.read(file) == run(SEAL)


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        results.read(tmp_path / "none.json")
    for number, text in enumerate(["", "[]", '{"results": []}']):
        file = tmp_path / f"{number}.json"
        file.write_text(text)
        with pytest.raises(OperatorError, match="not what --json writes"):
            results.read(file)


def test_a_run_kept_in_another_form_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    results.write(replace(run(SEAL), form=results.FORM + 1), file)
    with pytest.raises(OperatorError, match=f"form {results.FORM + 1}"):
        results.read(file)


def test_promises_that_do_not_hold_are_named() -> None:
    assert SEAL.misses == []
    target = Target(ratio=1.25, tail=1.0, p99=30e-6)
    assert replace(SEAL, target=target).misses == ["cost", "p99 in floors", "p99"]
    assert replace(SEAL, target=Target()).misses == []


# -- shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.34, "12.3 s"), (1.0, "1.00 s"), (0.1234, "123 ms"), (31e-6, "31.0 µs"), (4.2e-7, "420 ns")],
)
def test_times_have_three_digits(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


def test_table_has_every_number_its_state_and_where_it_is_from() -> None:
    shown = io.StringIO()
    tables.show(run(replace(SEAL, target=Target(ratio=1.25))), Console(width=200, file=shown))
    text = shown.getvalue()
    for said in (
        *("a ring of its own", "seal 64 B, 1 key", "80,000", "12.5 µs", "20.0 µs", "31.0 µs", "0.013 (0.010)"),
        *("Fernet.encrypt", "1.30 (1.20 to 1.40)", "≤ 1.25 (missed: cost)", "a <CPU> & more, 2 cores", "0123456789"),
    ):
        assert said in text


def test_results_are_put_between_the_marks_of_a_page_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    for _ in range(2):
        tables.put_into(page, tables.markdown(run(SEAL)))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| seal 64 B, 1 key | 80,000 |") == 1
    page.write_text("no marks")
    with pytest.raises(OperatorError, match="no place for results"):
        tables.put_into(page, tables.markdown(run(SEAL)))


def test_report_stands_by_itself_and_shows_names_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    named = replace(SEAL, name="</td><script>alert(1)</script>", target=Target(ratio=1.0))
    report.write(run(SEAL, named), file)
    page = file.read_text()
    assert "<script" not in page
    assert not [word for word in ("http:", "https:", "@import", "url(", "src=") if word in page]
    ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")].replace("<br>", ""))
    assert page.count("<polyline") == 4
    assert 'class="missed"' in page


def test_logarithmic_axis_has_room_for_all_and_round_ticks() -> None:
    axis = LogAxis.over([0.5, 8.0], start=100, end=500)
    assert 100 < axis.at(0.5) < axis.at(1) < axis.at(2) < axis.at(8.0) < 500
    assert axis.at(2) - axis.at(1) == pytest.approx(axis.at(4) - axis.at(2))
    assert list(axis.ticks()) == pytest.approx([0.5, 1, 2, 5])
    assert (axis.at(0), axis.at(1000)) == (100, 500)


# -- chosen -------------------------------------------------------------------------------------------------


def test_scenarios_are_chosen_by_group_and_by_parts_of_their_names() -> None:
    everything = Choice(names=[], duration=0, rounds=None)
    assert [(group, parts) for group, parts in everything.groups()] == [(group, [""]) for group in GROUPS]
    some = replace_dataclass(everything, names=["codec:64 B", "codec:open", "cache"])
    some.check()
    assert [(group.name, parts) for group, parts in some.groups()] == [("codec", ["64 B", "open"]), ("cache", [""])]
    with pytest.raises(OperatorError, match="There is no scenario codecs, but there are: codec, "):
        replace_dataclass(everything, names=["codecs"]).check()


def test_the_command_line_knows_what_the_page_says() -> None:
    line = "--scenario codec --duration 1 --concurrency 1,64 --json a --report b --markdown c --compare d --scale 1000"
    arguments = parser().parse_args(line.split())
    assert (arguments.concurrency, arguments.json, arguments.compare) == ((1, 64), Path("a"), Path("d"))
    assert parser().parse_args([]).concurrency == (1, 16, 64)
