"""Interleaves a scenario with its floor, round by round, so that a busy machine disturbs both alike."""

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that people wait for, beside the least that it could cost. One call does `size` operations.

    `prepare` is done before each of them, and is not measured.
    """

    name: str
    work: Work
    floor: Work
    floor_name: str
    size: int
    prepare: Work | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds for one operation over the rounds, and the ratio to the floor (1.0: as fast as the floor)."""

    scenario: Scenario
    seconds: list[float]
    floor_seconds: list[float]

    @property
    def per_second(self) -> float:
        return 1 / statistics.median(self.seconds)

    @property
    def ratios(self) -> list[float]:
        """The cost of the scenario in floors, round by round."""
        return [mine / least for mine, least in zip(self.seconds, self.floor_seconds, strict=True)]

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


async def measure(scenario: Scenario, *, duration: float) -> Result:
    """Warm up once, then alternate scenario and floor for about `duration` seconds, ten rounds at least."""
    await _timed(scenario.work, scenario.prepare)
    await _timed(scenario.floor, scenario.prepare)
    seconds: list[float] = []
    floor_seconds: list[float] = []
    end = time.perf_counter() + duration
    while time.perf_counter() < end or len(seconds) < 10:
        seconds.append(await _timed(scenario.work, scenario.prepare) / scenario.size)
        floor_seconds.append(await _timed(scenario.floor, scenario.prepare) / scenario.size)
    return Result(scenario=scenario, seconds=seconds, floor_seconds=floor_seconds)


async def _timed(work: Work, prepare: Work | None) -> float:
    if prepare:
        await prepare()
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
