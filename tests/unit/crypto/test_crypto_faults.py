"""A rotation or a rewrap that is cut off anywhere leaves the store as it was or as it should be, never between.

The cut is made at each call that the writing of the file makes of the system: the process is killed before or after
it, or the call fails for want of space or by a broken disk.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cypher.crypto import durable
from cypher.crypto.keyring import KeyRing, Purpose, State
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from tests.cuts import Act, Cut, broken_disk, kill_after, kill_before, killed_in_a_fork, no_space
from tests.rings import opened, secrets_of

NEW_PASSWORD = "another horse, another battery, and some staples"
OPERATIONS = {
    "rotation": lambda ring: rotate(ring, Purpose.DATA),
    "rewrap": lambda ring: ring.rewrap(NEW_PASSWORD, 1000),
}
COUNTED = {"open", "unlink", "replace", "fsync", "fchmod", "fchown", "write", "flush", "close"}


class Counting:
    def __init__(self, thing: object, cut: Cut) -> None:
        self._thing = thing
        self._cut = cut

    def __getattr__(self, name: str) -> object:
        found = getattr(self._thing, name)
        if name not in COUNTED:
            return found
        return lambda *given, **named: self._cut.call(name, lambda: found(*given, **named))

    def __enter__(self) -> "Counting":
        return self

    def __exit__(self, *given: object) -> None:
        self._thing.__exit__(*given)


@contextmanager
def cut_at(at: int, act: Act) -> Iterator[Cut]:
    cut = Cut(at, act)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "os", Counting(os, cut))
        patch.setattr(durable, "open", lambda *given: Counting(open(*given), cut), raising=False)  # noqa: SIM115
        yield cut


def calls_of(operation: Callable[[KeyRing], object], ring: KeyRing) -> list[str]:
    with cut_at(0, lambda done: done()) as cut:
        operation(ring)
    return cut.calls


def assert_old_or_new(store, password: str, clock, before: dict[str, bytes], generation: int) -> None:
    """The store opens with the one password or the other, holds every key, and can be written again."""
    ring = opened(store, password, NEW_PASSWORD, clock)
    assert ring.generation in (generation, generation + 1)
    assert secrets_of(ring).items() >= before.items()
    assert [key.state for key in ring.live(Purpose.DATA)].count(State.ACTIVE) == 1
    rotate(ring, Purpose.DATA)
    assert secrets_of(opened(store, password, NEW_PASSWORD, clock)).items() >= before.items()


def cut_off(operation: Callable[[KeyRing], object], ring: KeyRing, at: int, act: Act) -> None:
    with cut_at(at, act):
        operation(ring)


def refusal_of(operation: Callable[[KeyRing], object], ring: KeyRing, at: int, act: Act) -> str | None:
    try:
        cut_off(operation, ring, at, act)
    except KeyStoreRefused as refusal:
        return str(refusal)
    return None


@pytest.mark.parametrize("act", [kill_before, kill_after])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_process_killed_anywhere_leaves_a_store_that_opens(ring, store, password, clock, operation, act) -> None:
    before = secrets_of(ring)
    first = KeyRing.open(store, password, clock)
    at = 1
    while killed_in_a_fork(cut_off, operation, first, at, act):
        assert_old_or_new(store, password, clock, before, first.generation)
        # The next round begins under the password that the round before has left.
        first = opened(store, password, NEW_PASSWORD, clock)
        at += 1
    assert at >= 8
    assert_old_or_new(store, password, clock, before, first.generation)


@pytest.mark.parametrize("act", [no_space, broken_disk])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_call_that_fails_leaves_a_store_that_opens_and_says_so(
    ring, store, password, clock, file, operation, act
) -> None:
    before = secrets_of(ring)
    names = calls_of(OPERATIONS["rotation"], ring)
    assert names[-1] == "fsync"
    assert "replace" in names
    refused = 0
    for at in range(1, len(names) + 1):
        current = opened(store, password, NEW_PASSWORD, clock)
        generation, content = current.generation, file.read_bytes()
        refusal = refusal_of(operation, current, at, act)
        if refusal is not None:
            refused += 1
            assert "cannot be written" in refusal
            # All but the last call come before the new file stands in the old one's place.
            assert (file.read_bytes() == content) == (at < len(names))
        assert_old_or_new(store, password, clock, before, generation)
        assert not file.with_name("keyring.json.new").exists()
    # A close that fails after an fsync that did not is the only failure that may pass.
    assert refused >= len(names) - 1
