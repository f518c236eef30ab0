"""What asks a process to end unwinds it, once, and breaks into nothing that must be whole."""

import signal
from collections.abc import Iterator

import pytest

from cypher.signals import ending, undisturbed, unwind_on_all

ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Begin as a program begins in a terminal, and leave the runner's handlers as they were."""
    before = {number: signal.getsignal(number) for number in ALL}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_unwinds_the_program_with_its_status(number: signal.Signals, status: int) -> None:
    unwind_on_all()
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(number)
    assert left.value.code == status


def test_none_breaks_into_what_is_undisturbed_and_all_are_back_after_it() -> None:
    unwind_on_all()
    with undisturbed(), undisturbed():
        for number in ALL:
            signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)


def test_a_hang_up_that_nohup_keeps_away_stays_away() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    unwind_on_all()
    signal.raise_signal(signal.SIGHUP)
    assert ending() == (signal.SIGTERM, signal.SIGINT)
