"""Tells a regression from noise: what costs more floors than in an earlier run.

Floors are compared and not seconds, so that the earlier run may be another machine's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bench.results import Document, Measured

#: So much more is a regression, if even the better rounds cost more than the earlier middle.
THRESHOLD = 0.15


class Verdict(StrEnum):
    REGRESSION = "regression"
    BETTER = "better"
    SAME = "same"
    NEW = "new"
    GONE = "not measured"


@dataclass(frozen=True, slots=True)
class Difference:
    """One scenario in both runs, or in one of them."""

    group: str
    name: str
    verdict: Verdict
    before: float | None  #: cost in floors
    now: float | None


def compare(now: Document, before: Document, threshold: float = THRESHOLD) -> list[Difference]:
    """Judge every scenario of either run."""
    earlier = {(each.group, each.name, each.floor): each for each in before.results}
    found = [
        _difference(each, earlier.pop((each.group, each.name, each.floor), None), threshold) for each in now.results
    ]
    gone = (Difference(each.group, each.name, Verdict.GONE, each.ratio.middle, None) for each in earlier.values())
    return [*found, *gone]


def regressions(differences: Iterable[Difference]) -> list[Difference]:
    return [each for each in differences if each.verdict is Verdict.REGRESSION]


def _difference(now: Measured, before: Measured | None, threshold: float) -> Difference:
    if before is None:
        return Difference(now.group, now.name, Verdict.NEW, None, now.ratio.middle)
    verdict = Verdict.SAME
    if now.ratio.middle > before.ratio.middle * (1 + threshold) and now.ratio.low > before.ratio.middle:
        verdict = Verdict.REGRESSION
    elif now.ratio.middle < before.ratio.middle / (1 + threshold) and now.ratio.high < before.ratio.middle:
        verdict = Verdict.BETTER
    return Difference(now.group, now.name, verdict, before.ratio.middle, now.ratio.middle)
