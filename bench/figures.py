"""Percentiles and spreads, of numbers in whatever order."""

import statistics
from collections.abc import Sequence

import msgspec

#: Points that stand for a distribution: enough to draw it.
POINTS = 200


class Spread(msgspec.Struct, frozen=True):
    """The middle of some numbers, and between which two eight tenths of them lie."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        return cls(percentile(numbers, 0.1), statistics.median(numbers), percentile(numbers, 0.9))


def percentile(numbers: Sequence[float], share: float) -> float:
    """Return the number below which `share` of them lie; between two of them, in proportion."""
    return _at(sorted(numbers), share)


def points(numbers: Sequence[float], count: int = POINTS) -> list[float]:
    """Return `count` numbers that are distributed as these are, in rising order."""
    ordered = sorted(numbers)
    return [_at(ordered, (place + 0.5) / count) for place in range(count)]


def _at(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
