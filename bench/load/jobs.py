"""What a client is told to send, and what it says came back."""

from collections.abc import Sequence

import msgspec

from bench.harness import Tally


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Requests for a server on loopback, written out as they go over the wire."""

    port: int
    requests: list[bytes]
    status: int  #: what every answer has to have
    at_once: int  #: connections, each with one request under way
    seconds: float | None = None  #: for so long the requests are sent again and again; None: each once
    pause: float = 0.0  #: seconds between an answer and the next request of the same connection


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies in seconds, and bodies, both in the order of the requests where each was sent once."""

    seconds: float
    latencies: list[float]
    bodies: list[bytes] = []
    operations: int | None = None  #: None: as many as there are latencies
    problem: str | None = None  #: what was wrong with the first answer that was not as told

    def tally(self) -> Tally:
        count = len(self.latencies) if self.operations is None else self.operations
        return Tally(operations=count, seconds=self.seconds, latencies=self.latencies)


def one_after_another(steps: Sequence[Outcome]) -> Tally:
    """Put the steps of the same operations together: each took as long as its steps."""
    return Tally(
        operations=len(steps[0].latencies),
        seconds=sum(step.seconds for step in steps),
        latencies=[sum(parts) for parts in zip(*(step.latencies for step in steps), strict=True)],
    )
