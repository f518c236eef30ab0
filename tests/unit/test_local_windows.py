"""Sliding windows without Redis: exact, bounded, and never without a limit."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cypher.ephemeral.decisions import Decision, Hit
from cypher.ephemeral.local_windows import LocalWindows
from tests.own_redis import HandClock

WINDOW = timedelta(seconds=10)


def hit(windows: LocalWindows, subject: str = "a", limit: int = 3) -> Decision:
    return windows.check(Hit.new(subject), limit=limit, window=WINDOW)


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=60))
def test_no_window_holds_more_than_the_limit_and_none_holds_less_than_it_could(
    limit: int, steps: list[tuple[int, bool]]
) -> None:
    clock = HandClock()
    windows = LocalWindows(clock)
    admitted: list[tuple[float, Hit]] = []
    for pause, takes_back in steps:
        clock.seconds += pause
        counted = [at for at, _ in admitted if at > clock.seconds - 10]
        decision = hit(windows, limit=limit)
        assert decision.allowed is (len(counted) < limit)
        if decision.hit:
            admitted.append((clock.seconds, decision.hit))
            counted.append(clock.seconds)
        assert decision.remaining == limit - len(counted)
        assert decision.reset.total_seconds() == counted[0] + 10 - clock.seconds
        wait = counted[-limit] + 10 - clock.seconds if len(counted) >= limit else 0
        assert decision.retry_after.total_seconds() == wait
        if takes_back and admitted:
            windows.take_back(admitted.pop()[1])


def test_a_refused_hit_prolongs_nobodys_wait() -> None:
    clock = HandClock()
    windows = LocalWindows(clock)
    hit(windows, limit=1)
    for _ in range(9):
        clock.seconds += 1
        assert not hit(windows, limit=1).allowed
    clock.seconds += 1
    assert hit(windows, limit=1).allowed


def test_a_hit_taken_back_makes_room_for_one_and_taken_back_twice_for_no_more() -> None:
    windows = LocalWindows(HandClock())
    first = hit(windows, limit=2).hit
    hit(windows, limit=2)
    assert first
    for _ in range(2):
        windows.take_back(first)
    assert [hit(windows, limit=2).allowed for _ in range(2)] == [True, False]


def test_another_subjects_hit_takes_nothing_back() -> None:
    windows = LocalWindows(HandClock())
    hit(windows, limit=1)
    other = hit(windows, "b", limit=1).hit
    assert other
    windows.take_back(Hit(key="a", member=other.member))
    windows.take_back(Hit(key="c", member=other.member))
    assert not hit(windows, limit=1).allowed


def test_the_first_refusal_of_a_window_is_told_from_the_others() -> None:
    clock = HandClock()
    windows = LocalWindows(clock)
    told = []
    for _ in range(30):
        told.append(hit(windows, limit=1).first_refusal)
        clock.seconds += 1
    assert [second for second, first in enumerate(told) if first] == [1, 11, 21]


def test_the_busy_are_kept_and_the_quiet_forgotten() -> None:
    windows = LocalWindows(HandClock(), subjects=100)
    for number in range(1000):
        hit(windows, f"stranger-{number}")
        hit(windows, "busy", limit=1)
        assert not hit(windows, "busy", limit=1).allowed
    assert len(windows._subjects) == 100


def test_a_subject_that_is_forgotten_begins_anew() -> None:
    windows = LocalWindows(HandClock())
    hit(windows, limit=1)
    windows.forget("a")
    windows.forget("never seen")
    assert hit(windows, limit=1).allowed
