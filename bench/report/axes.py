"""Logarithmic axes: a cost of twice as much is as far from 1 as one of half as much."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAxis:
    """Maps `low` to `high` onto pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, numbers: Sequence[float], *, start: float, end: float) -> "LogAxis":
        """Make an axis on which all these numbers, and a little more, have a place."""
        return cls(low=min(numbers) / 1.15, high=max(numbers) * 1.15, start=start, end=end)

    def at(self, number: float) -> float:
        """Return the pixel of a number; what is beyond an end is put there."""
        share = math.log(max(number, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + (self.end - self.start) * min(share, 1.0)

    def ticks(self) -> Iterator[float]:
        """Yield round numbers: 1, 2, 5, 10, 20, … or only the tens where there are many of them."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for power in range(first, last + 1):
            for step in STEPS if last - first <= 2 else STEPS[:1]:
                if self.low <= (number := step * 10.0**power) <= self.high:
                    yield number
