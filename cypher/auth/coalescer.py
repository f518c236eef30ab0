"""Failures on their way to the trail: the same one again is counted, and a flood of different ones as well.

Whatever arrives, it holds no more than so many records: an attack must cost neither memory nor rows.
"""

from collections.abc import Hashable, Iterable
from datetime import datetime

from msgspec.structs import replace

from cypher.auth.happenings import Counted, Happening
from cypher.auth.source import Source

#: Different records that are kept apart between two flushes, which are a second apart. What comes beyond that is
#: counted by event and reason alone; there are few of these.
MOST = 256


class Coalescer:
    """Holds what is to be written together."""

    def __init__(self) -> None:
        self._counted: dict[Hashable, Counted] = {}

    def __len__(self) -> int:
        """How often something happened of which nothing is written yet."""
        return sum(counted.count for counted in self._counted.values())

    def add(self, happening: Happening, source: Source | None, now: datetime) -> None:
        """Take one more."""
        self.merge([Counted(happening=happening, source=source, first_at=now, last_at=now)])

    def take(self) -> list[Counted]:
        """Hand over everything, and hold nothing any more."""
        taken = list(self._counted.values())
        self._counted.clear()
        return taken

    def merge(self, several: Iterable[Counted]) -> None:
        """Take these, or take back what could not be written."""
        for counted in several:
            key = _key(counted)
            if key not in self._counted and len(self._counted) >= MOST:
                counted = _of_many(counted)
                key = _key(counted)
            known = self._counted.get(key)
            self._counted[key] = _together(known, counted) if known else counted


def _key(counted: Counted) -> Hashable:
    """Return what makes two the same. Not the user agent, which an attacker can change with every request."""
    return counted.happening, counted.source and counted.source.address


def _of_many(counted: Counted) -> Counted:
    happening = Happening(
        event=counted.happening.event,
        outcome=counted.happening.outcome,
        reason=counted.happening.reason,
        note="of many subjects",
        by_itself=True,
    )
    return replace(counted, happening=happening, source=None)


def _together(one: Counted, other: Counted) -> Counted:
    first = one if one.first_at <= other.first_at else other
    return replace(first, count=one.count + other.count, last_at=max(one.last_at, other.last_at))
