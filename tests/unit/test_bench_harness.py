"""The numbers of the bench suite: how they are taken, and what is made of them."""

import asyncio
import os
import time

import pytest

from bench import figures
from bench.figures import Spread
from bench.harness import Compared, Scenario, Tally, measure, repeated
from bench.load import wrk
from bench.load.jobs import Outcome, one_after_another
from bench.processes import cpu_of


def test_percentiles_lie_between_the_numbers() -> None:
    numbers = [4.0, 1.0, 3.0, 2.0, 5.0]
    assert [figures.percentile(numbers, share) for share in (0, 0.5, 0.9, 1)] == [1.0, 3.0, 4.6, 5.0]
    assert figures.percentile([7.0], 0.99) == 7.0


def test_spread_is_the_middle_and_eight_tenths_around_it() -> None:
    assert Spread.of([float(number) for number in range(11)]) == Spread(1.0, 5.0, 9.0)


def test_points_are_distributed_as_the_numbers_are() -> None:
    numbers = [float(number % 1000) for number in range(10_000)]
    drawn = figures.points(numbers, count=100)
    assert drawn == sorted(drawn)
    assert drawn[50] == pytest.approx(505, abs=6)
    assert figures.percentile(drawn, 0.99) == pytest.approx(figures.percentile(numbers, 0.99), rel=0.01)


class Watched:
    """Work that takes as long as it says, and remembers when it was its turn."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.used = 0.0

    def cpu(self) -> float:
        return self.used

    async def prepare(self) -> None:
        self.turns.append("prepare")

    async def work(self) -> Tally:
        self.turns.append("work")
        self.used += 0.3
        return Tally(operations=10, seconds=0.5, latencies=[0.04, 0.06])

    async def floor(self) -> Tally:
        self.turns.append("floor")
        self.used += 0.1
        return Tally(operations=10, seconds=0.25, latencies=[0.02, 0.03])

    def scenario(self, **changes: object) -> Scenario:
        about: dict[str, object] = {"name": "it", "floor_name": "least", "size": 10, "cpu": self.cpu, "rounds": 3}
        return Scenario(work=self.work, floor=self.floor, **about | changes)  # type: ignore[arg-type]


async def test_scenario_and_floor_take_turns_and_neither_is_always_first() -> None:
    watched = Watched()
    await measure(watched.scenario(), duration=0)
    assert watched.turns == ["work", "floor", "floor", "work", "work", "floor", "floor", "work"]


async def test_ratio_is_that_of_each_round_by_time_or_by_cpu() -> None:
    watched = Watched()
    result = await measure(watched.scenario(), duration=0)
    assert result.ratios == [2.0] * 3
    assert result.per_second == 20
    assert result.tail == pytest.approx(2.0, rel=0.01)
    by_cpu = await measure(watched.scenario(compared=Compared.CPU), duration=0)
    assert by_cpu.ratios == pytest.approx([3.0] * 3)


async def test_each_is_prepared_and_warmed_up_and_only_then_counted() -> None:
    watched = Watched()
    result = await measure(watched.scenario(prepare=watched.prepare, warm_up=2), duration=0, rounds=1)
    assert len(result.rounds) == len(result.floors) == 1
    assert watched.turns == ["prepare", "work", "prepare", "floor"] * 2 + ["prepare", "floor", "prepare", "work"]


async def test_work_that_says_nothing_is_so_many_operations_in_the_time_that_it_took() -> None:
    async def work() -> None:
        await asyncio.sleep(0.01)

    scenario = Scenario(name="it", work=work, floor=work, floor_name="least", size=5, rounds=2)
    result = await measure(scenario, duration=0)
    assert [round_.tally.operations for round_ in result.rounds] == [5, 5]
    assert result.per_second < 500
    assert result.rounds[0].tally.latencies == [result.rounds[0].seconds]


async def test_repeated_work_times_every_operation_and_keeps_so_many_under_way() -> None:
    under_way, most = 0, 0

    async def operation() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    tally = await repeated(operation, 12, at_once=4, holds=2)()
    assert tally is not None
    assert (tally.operations, len(tally.latencies), most) == (24, 12, 4)


def test_cpu_of_a_process_is_what_it_says_of_itself() -> None:
    before, mine = cpu_of(os.getpid()), time.process_time()
    sum(range(1_000_000))
    assert cpu_of(os.getpid()) - before == pytest.approx(time.process_time() - mine, rel=0.2, abs=0.002)


def test_steps_of_one_operation_add_up() -> None:
    steps = [Outcome(seconds=1.0, latencies=[0.1, 0.2]), Outcome(seconds=2.0, latencies=[0.3, 0.5])]
    tally = one_after_another(steps)
    assert (tally.operations, tally.seconds) == (2, 3.0)
    assert tally.latencies == pytest.approx([0.4, 0.7])


def test_numbers_of_wrk_are_read_after_its_own_lines() -> None:
    outcome = wrk.read("Running 1s test\n  2 threads\nnumbers\n4000\n1000000\n0\n200\n250.5\n")
    assert outcome == Outcome(seconds=1.0, latencies=pytest.approx([200e-6, 250.5e-6]), operations=4000)
    assert wrk.read("numbers\n4000\n1000000\n3\n200\n").problem == "3 of 4000 requests of wrk failed"
