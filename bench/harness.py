"""Interleaves a scenario with its floor, round by round, so that a busy machine disturbs both alike."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from bench.figures import Spread, percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one call came to, counted by who did it. `seconds` leaves out what was only preparation."""

    operations: int
    seconds: float
    latencies: Sequence[float]  #: in seconds, one for each operation, or as many as show how they are distributed


#: Does some operations. One that returns nothing has done `size` of them, in the time that the call took.
Work = Callable[[], Awaitable[Tally | None]]
Cpu = Callable[[], float]


class Compared(StrEnum):
    """What is compared with the floor."""

    TIME = "time"
    CPU = "cpu"  #: where the client has most of the work, or the floor needs no network


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The most that an operation may cost; None where nothing was promised."""

    ratio: float | None = None  #: in floors
    tail: float | None = None  #: its 99th percentile, in 99th percentiles of the floor
    p99: float | None = None  #: its 99th percentile, in seconds


NOTHING_PROMISED = Target()


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
    prepare: Callable[[], Awaitable[object]] | None = None
    cpu: Cpu = time.process_time  #: CPU-seconds so far of the process that is measured
    floor_cpu: Cpu | None = None  #: likewise for the floor; None: the same process
    compared: Compared = Compared.TIME
    target: Target = NOTHING_PROMISED
    rounds: int = 10  #: at least so many, however long they take
    warm_up: int = 1  #: rounds before them, which do not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One call, with the CPU-seconds of the process that was measured."""

    tally: Tally
    cpu: float

    @property
    def seconds(self) -> float:
        return self.tally.seconds / self.tally.operations

    @property
    def cpu_seconds(self) -> float:
        return self.cpu / self.tally.operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Rounds of a scenario, each beside one of its floor."""

    scenario: Scenario
    rounds: list[Round]
    floors: list[Round]

    @property
    def per_second(self) -> float:
        return 1 / statistics.median(round_.seconds for round_ in self.rounds)

    @property
    def ratios(self) -> list[float]:
        """The cost of the scenario in floors, round by round (1.0: as fast as the floor)."""
        pairs = zip(self.rounds, self.floors, strict=True)
        if self.scenario.compared is Compared.CPU:
            return [mine.cpu_seconds / least.cpu_seconds for mine, least in pairs]
        return [mine.seconds / least.seconds for mine, least in pairs]

    @property
    def spread(self) -> Spread:
        return Spread.of(self.ratios)

    @property
    def tail(self) -> float:
        """The 99th percentile in 99th percentiles of the floor."""
        return percentile(latencies(self.rounds), 0.99) / percentile(latencies(self.floors), 0.99)


def latencies(rounds: Sequence[Round]) -> list[float]:
    """Return the latencies of all rounds together."""
    return [latency for round_ in rounds for latency in round_.tally.latencies]


def cpu_per_operation(rounds: Sequence[Round]) -> float:
    """Return CPU-seconds for one operation, over all rounds: a single one may be shorter than the clock is exact."""
    return sum(round_.cpu for round_ in rounds) / sum(round_.tally.operations for round_ in rounds)


async def measure(scenario: Scenario, *, duration: float, rounds: int | None = None) -> Result:
    """Warm up, then alternate scenario and floor for about `duration` seconds, and for a few rounds at least.

    Each round begins with the one that the last round ended with, so that neither always comes second. `rounds` stands
    in for the scenario's own least number.
    """
    least = scenario.rounds if rounds is None else rounds
    for _ in range(scenario.warm_up):
        await _work(scenario)
        await _floor(scenario)
    mine: list[Round] = []
    floors: list[Round] = []
    end = time.perf_counter() + duration
    while time.perf_counter() < end or len(mine) < least:
        if len(mine) % 2:
            mine.append(await _work(scenario))
            floors.append(await _floor(scenario))
        else:
            floors.append(await _floor(scenario))
            mine.append(await _work(scenario))
    return Result(scenario=scenario, rounds=mine, floors=floors)


async def _work(scenario: Scenario) -> Round:
    return await _round(scenario, scenario.work, scenario.cpu)


async def _floor(scenario: Scenario) -> Round:
    return await _round(scenario, scenario.floor, scenario.floor_cpu or scenario.cpu)


async def _round(scenario: Scenario, work: Work, cpu: Cpu) -> Round:
    if scenario.prepare:
        await scenario.prepare()
    cpu_before, began = cpu(), time.perf_counter()
    tally = await work()
    seconds, used = time.perf_counter() - began, cpu() - cpu_before
    if tally is None:
        tally = Tally(operations=scenario.size, seconds=seconds, latencies=[seconds / scenario.size])
    return Round(tally=tally, cpu=used)


def repeated(operation: Callable[[], Awaitable[object]], times: int, *, at_once: int = 1, holds: int = 1) -> Work:
    """Make work of one operation: `times` of it, each timed, of which `at_once` are under way at any moment.

    `holds` is for one that is several in one: a pipeline of so many commands.
    """

    async def work() -> Tally:
        took: list[float] = []

        async def one_after_another(count: int) -> None:
            for _ in range(count):
                began = time.perf_counter()
                await operation()
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        if at_once == 1:
            await one_after_another(times)
        else:
            await asyncio.gather(*(one_after_another(times // at_once) for _ in range(at_once)))
        return Tally(operations=holds * len(took), seconds=time.perf_counter() - began, latencies=took)

    return work
