"""The machine's clock."""

import time

import pytest

from cypher.clock import AWAKE_OR_ASLEEP, SystemClock


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the clock is Linux's")
def test_time_goes_on_while_the_machine_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    seen = SystemClock().monotonic()
    assert before <= seen <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert time.get_clock_info("monotonic").implementation != f"clock_gettime({AWAKE_OR_ASLEEP})"
