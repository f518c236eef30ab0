"""Sliding windows in this process, for when Redis is away and for what no other instance needs to know.

Bounded by the number of subjects: the one that was quiet the longest is forgotten, never the one that is busy.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta

from cypher.clock import Clock
from cypher.ephemeral.decisions import Decision, Hit

#: An entry has a few hundred bytes and then about a hundred for each hit. To push one subject out, a stranger needs
#: as many others within its window, of which each address has few.
SUBJECTS = 100_000


@dataclass(slots=True)
class _Subject:
    hits: OrderedDict[bytes, float] = field(default_factory=OrderedDict)  #: times in their order
    quiet_until: float = 0.0  #: a refusal before this is not the first


class LocalWindows:
    """Counts as `lua/sliding_window.lua` does, by the monotonic clock."""

    def __init__(self, clock: Clock, subjects: int = SUBJECTS) -> None:
        self._clock = clock
        self._most = subjects
        self._subjects: OrderedDict[str, _Subject] = OrderedDict()

    def check(self, hit: Hit, *, limit: int, window: timedelta) -> Decision:
        """Admit and record a new hit, or refuse it and record nothing."""
        now, seconds = self._clock.monotonic(), window.total_seconds()
        subject = self._subject(hit.key)
        hits = subject.hits
        while hits and next(iter(hits.values())) <= now - seconds:
            hits.popitem(last=False)
        allowed = len(hits) < limit
        first_refusal = not allowed and now >= subject.quiet_until
        if allowed:
            hits[hit.member] = now
        if first_refusal:
            subject.quiet_until = now + seconds
        times = list(hits.values())
        return Decision(
            allowed=allowed,
            remaining=max(limit - len(hits), 0),
            retry_after_us=_microseconds(times[-limit] + seconds - now) if len(hits) >= limit else 0,
            reset_us=_microseconds(times[0] + seconds - now),
            hit=hit if allowed else None,
            first_refusal=first_refusal,
        )

    def take_back(self, hit: Hit) -> None:
        """Forget one hit, if it was recorded here."""
        subject = self._subjects.get(hit.key)
        if subject:
            subject.hits.pop(hit.member, None)

    def forget(self, key: str) -> None:
        """Forget everything about a subject."""
        self._subjects.pop(key, None)

    def _subject(self, key: str) -> _Subject:
        subject = self._subjects.get(key)
        if subject is None:
            subject = self._subjects[key] = _Subject()
            if len(self._subjects) > self._most:
                self._subjects.popitem(last=False)
        self._subjects.move_to_end(key)
        return subject


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
