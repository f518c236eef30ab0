"""The two plots: what everything costs in floors, and how the latencies of one thing are distributed."""

from collections.abc import Sequence
from html import escape

from bench.report.axes import LogAxis
from bench.results import Measured
from bench.tables import duration

LABELS, WIDTH, ROW, MARGIN = 330, 900, 20, 24
PLOT_WIDTH, PLOT_HEIGHT, SHARES = 290, 170, 34


def costs(results: Sequence[Measured]) -> str:
    """Draw a row for each scenario: its cost in floors, eight tenths of its rounds, and what was promised."""
    found = [number for each in results for number in (each.ratio.low, each.ratio.high, each.target.ratio or 1.0)]
    axis = LogAxis.over([*found, 1.0], start=LABELS, end=WIDTH - MARGIN)
    height = ROW * len(results) + 2 * MARGIN
    marks = [_grid(axis, tick, height, f"{tick:g}") for tick in axis.ticks()]
    marks.append(f'<line class="one" x1="{axis.at(1):.1f}" x2="{axis.at(1):.1f}" y1="0" y2="{height - MARGIN}"/>')
    marks += [_cost(axis, each, ROW * number + ROW) for number, each in enumerate(results)]
    return _svg(WIDTH, height, "Cost in floors, of each scenario", marks)


def latencies(result: Measured) -> str:
    """Draw which share of the operations took how long at the most, beside the floor."""
    seconds = [each for each in (*result.latencies, *result.floor_latencies) if each > 0]
    axis = LogAxis.over(seconds, start=SHARES, end=PLOT_WIDTH - MARGIN)
    bottom = PLOT_HEIGHT - MARGIN
    marks = [_grid(axis, tick, PLOT_HEIGHT, duration(tick)) for tick in axis.ticks()]
    marks += [
        f'<line class="grid" x1="{SHARES}" x2="{PLOT_WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{SHARES - 4}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.5, 0.99)
        for y in [_height(share, bottom)]
    ]
    marks.append(_curve("floor", axis, result.floor_latencies, bottom))
    marks.append(_curve("mine", axis, result.latencies, bottom))
    return _svg(PLOT_WIDTH, PLOT_HEIGHT, f"Latencies of {result.name} and of {result.floor}", marks)


def _cost(axis: LogAxis, result: Measured, y: float) -> str:
    kind = "missed" if "cost" in result.misses else "mine"
    low, middle, high = (axis.at(number) for number in (result.ratio.low, result.ratio.middle, result.ratio.high))
    label = escape(f"{result.group}: {result.name}"[:52])
    promised = ""
    if result.target.ratio is not None:
        at = axis.at(result.target.ratio)
        promised = f'<line class="promised" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 7:.1f}" y2="{y + 7:.1f}"/>'
    return (
        f'<text x="{LABELS - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        f'<line class="{kind} spread" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle class="{kind}" cx="{middle:.1f}" cy="{y:.1f}" r="4"><title>{result.ratio.middle:.2f} of '
        f"{escape(result.floor)}</title></circle>{promised}"
    )


def _curve(kind: str, axis: LogAxis, numbers: Sequence[float], bottom: float) -> str:
    places = (
        f"{axis.at(number):.1f},{_height((place + 0.5) / len(numbers), bottom):.1f}"
        for place, number in enumerate(numbers)
    )
    return f'<polyline class="{kind} curve" points="{" ".join(places)}"/>'


def _height(share: float, bottom: float) -> float:
    return bottom - share * (bottom - 8)


def _grid(axis: LogAxis, tick: float, height: float, label: str) -> str:
    x = axis.at(tick)
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - MARGIN}"/>'
        f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{label}</text>'
    )


def _svg(width: float, height: float, title: str, marks: Sequence[str]) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg role="img" {size}><title>{escape(title)}</title>{"".join(marks)}</svg>'
