"""What a check may find. A finding is one sentence or two: what is wrong, and what to do. Never a secret."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is, from the best to the worst."""

    OK = "ok"
    SKIPPED = "skipped"  #: could not be looked at for want of something that another line is about
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    level: Level
    text: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a report."""

    check: str
    level: Level
    text: str


def problem(text: str) -> Finding:
    """Return a finding that breaks something, or will."""
    return Finding(Level.PROBLEM, text)


def warning(text: str) -> Finding:
    """Return a finding that somebody may have wanted so."""
    return Finding(Level.WARNING, text)


class Away(Exception):
    """Something that a check needs is not there; the check that is about it says why."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(why)
        self.what = what


Found = AsyncIterator[Finding]
