"""Whether two requests take the same time, so that nobody learns by it which of them was about somebody."""

import statistics
import time
from typing import Any

from tests.acceptance.person import Person

PAIRS = 300
TOLERANCE = 0.10
TRIES = 3


async def ratio(person: Person, path: str, bodies: tuple[dict[str, Any], dict[str, Any]]) -> float:
    """Return how much longer the second takes, by the medians of interleaved pairs."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(PAIRS):
        for which in (0, 1) if turn % 2 else (1, 0):
            began = time.perf_counter()
            assert (await person.post(path, bodies[which])).status in (200, 202)
            took[which].append(time.perf_counter() - began)
    return statistics.median(took[1]) / statistics.median(took[0])


async def assert_same_time(person: Person, path: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Measure anew while they differ: a real difference stays, a busy machine's passes."""
    ratios: list[float] = []
    while len(ratios) < TRIES and not any(abs(each - 1) < TOLERANCE for each in ratios):
        ratios.append(await ratio(person, path, (one, other)))
    assert any(abs(each - 1) < TOLERANCE for each in ratios), ratios
