"""What a service does about the process it runs in."""

import gc
from collections.abc import Iterator

import pytest

from cypher import serving


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_the_collector_looks_no_more_at_what_was_there_at_the_start() -> None:
    here = [object() for _ in range(10)]
    serving._settle()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 10_000
    assert gc.isenabled()
    assert gc.get_threshold()[0] == serving.NEW_OBJECTS
    assert here


def test_cycles_that_come_later_are_still_collected() -> None:
    serving._settle()

    class Knot:
        freed = 0

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            Knot.freed += 1

    for _ in range(3 * serving.NEW_OBJECTS):
        Knot()
    assert Knot.freed >= serving.NEW_OBJECTS
