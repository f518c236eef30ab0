"""What traffic keeps of a run: every request with its answer, what was acknowledged, and what is not as promised."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.acceptance.person import Answer

#: The share of requests that may fail for no reason but a busy machine: of two equal ones that come together one waits
#: for the other's lock, half a second at most; and Redis has a quarter of a second to answer.
BUSY = 0.05


class Phase(Enum):
    """When a request began."""

    BEFORE = "before"
    DURING = "during the fault"
    AFTER = "after the fault"
    AFTERWARDS = "when asked afterwards"


class Invariant(Enum):
    """Those of the design that a fault can break, and what holds for one fault only."""

    ANSWERS = "I1: no 5xx but 503 with Retry-After"
    ONCE = "I2: single-use things work once"
    ENDED = "I3: what was ended stays ended"
    WRITTEN = "I4: what was acknowledged is there"
    OPENS = "I5: every sealed value opens"
    TRAIL = "I6: each change has its entry, and the trail verifies"
    SECRET = "I7: nothing secret is in logs, rows or Redis"
    IN_TIME = "I8: every request ends within 5 s"
    AS_SAID = "what the table says of this loss"
    RECOVERS = "the service recovers by itself"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request."""

    phase: Phase
    began: float  #: on `time.monotonic`
    seconds: float
    route: str
    status: int  #: 0 where the connection broke

    @property
    def ended(self) -> float:
        return self.began + self.seconds

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500


@dataclass(slots=True)
class Login:
    """One session, as its owner knows it."""

    person: Any
    proof: dict[str, Any]  #: what it was made with
    session_id: str
    access_token: str
    refresh_token: str
    spent: list[str] = field(default_factory=list)  #: refresh tokens that have a successor


@dataclass(slots=True)
class Books:
    """All that is known on this side of HTTP."""

    phase: Phase = Phase.BEFORE
    seen: list[Seen] = field(default_factory=list)
    broken: list[tuple[Invariant, str]] = field(default_factory=list)
    registered: dict[str, Any] = field(default_factory=dict)  #: by the user's id, whoever it is
    living: list[Login] = field(default_factory=list)  #: nobody has asked for their end
    ended: list[Login] = field(default_factory=list)  #: their logout was acknowledged
    codes_used: list[str] = field(default_factory=list)  #: recovery codes with which a login was acknowledged
    codes_in_doubt: set[str] = field(default_factory=set)  #: sent, and no answer that says what became of them
    seeds: list[str] = field(default_factory=list)  #: from which an app makes its codes
    #: How often `/health/ready` said what.
    health: dict[Phase, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: The longest time in which this process itself did nothing: no answer is held to less than that.
    stood_still: float = 0.0

    def breaks(self, invariant: Invariant, what: str) -> None:
        self.broken.append((invariant, f"{self.phase.value}: {what}"))

    def note(self, began: float, route: str, answer: Answer) -> None:
        """Write a request down, and judge what holds for each answer."""
        seen = Seen(self.phase, began, time.monotonic() - began, route, answer.status)
        self.seen.append(seen)
        if seen.status >= 500 and (seen.status != 503 or "Retry-After" not in answer.headers):
            self.breaks(Invariant.ANSWERS, f"{route} answered {seen.status}: {answer.body}")

    def of(self, *phases: Phase, route: str = "") -> list[Seen]:
        return [each for each in self.seen if each.phase in phases and each.route.startswith(route)]


def counts(seen: list[Seen]) -> tuple[int, int, int, int]:
    """Return how many were answered 2xx, 4xx, 503, and otherwise or not at all."""
    kinds = Counter("503" if each.status == 503 else f"{each.status // 100}xx" for each in seen)
    good, bad, away = kinds["2xx"], kinds["4xx"], kinds["503"]
    return good, bad, away, len(seen) - good - bad - away


def hardly_any_failed(seen: list[Seen]) -> bool:
    """Tell whether so few have failed that nobody need be to blame."""
    return sum(each.failed for each in seen) <= BUSY * len(seen)
