"""A rotation or a rewrap that is cut off leaves the old ring or the new one, in PostgreSQL and on a real disk."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from cypher.crypto.keyring import KeyRing, Purpose, State
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from tests.cuts import Act, Cut, kill_after, kill_before, killed_in_a_fork
from tests.factories import as_owner
from tests.integration.key_stores.places import (
    CHILD,
    CLOCK,
    PASSWORD,
    ROOT,
    DirectoryPlace,
    Place,
    PostgresPlace,
    given_to_a_child,
    make_ring,
)
from tests.rings import opened, secrets_of

NEW_PASSWORD = "another horse, another battery, and some staples"
OPERATIONS = {
    "rotation": lambda ring: rotate(ring, Purpose.DATA),
    "rewrap": lambda ring: ring.rewrap(NEW_PASSWORD, 1000),
}
#: What the store sends to PostgreSQL, and what ends a transaction.
SENT = (
    (psycopg.RawCursor, "execute"),
    (psycopg.RawCursor, "executemany"),
    (psycopg.Connection, "commit"),
    (psycopg.Connection, "rollback"),
)
CHANGE = """
ring = KeyRing.open(store, password, SystemClock())
print("open", flush=True)
if argument == "rotation":
    rotate(ring, Purpose.DATA)
else:
    ring.rewrap(argument, 1000)
"""
STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(
    STRACE is None or subprocess.run([STRACE, "-o", "/dev/null", "true"], check=False, capture_output=True).returncode,
    reason="no strace here that may trace: apt-get install strace",
)


def ring_at(place: Place) -> KeyRing:
    return opened(place.store(), PASSWORD, NEW_PASSWORD, CLOCK)


def assert_old_or_new(place: Place, before: KeyRing) -> KeyRing:
    """What is there opens, holds every key, and can be written again; returns it."""
    ring = ring_at(place)
    assert ring.generation in (before.generation, before.generation + 1)
    assert secrets_of(ring).items() >= secrets_of(before).items()
    assert [key.state for key in ring.live(Purpose.DATA)].count(State.ACTIVE) == 1
    rotate(ring, Purpose.DATA)
    return ring_at(place)


@pytest.fixture
def in_postgres(postgres_config) -> PostgresPlace:
    place = PostgresPlace(postgres_config)
    make_ring(place.store())
    return place


@pytest.fixture
def in_a_directory(tmp_path: Path) -> DirectoryPlace:
    place = DirectoryPlace(tmp_path / "keys")
    make_ring(place.store())
    return place


# -- PostgreSQL -------------------------------------------------------------------------------------------------


@contextmanager
def cut_at(at: int, act: Act) -> Iterator[None]:
    cut = Cut(at, act)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in SENT:
            patch.setattr(owner, name, counted(cut, name, getattr(owner, name)))
        yield


def counted(cut: Cut, name: str, real: Callable[..., object]) -> Callable[..., object]:
    return lambda *given, **named: cut.call(name, lambda: real(*given, **named))


def cut_off(operation: Callable[[KeyRing], object], ring: KeyRing, at: int, act: Act) -> None:
    with cut_at(at, act):
        operation(ring)


@pytest.mark.parametrize("act", [kill_before, kill_after])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_process_killed_at_any_statement_leaves_a_ring_that_opens(in_postgres, operation, act) -> None:
    at, ring = 1, ring_at(in_postgres)
    while killed_in_a_fork(cut_off, operation, ring, at, act):
        at, ring = at + 1, assert_old_or_new(in_postgres, ring)
    assert at >= 12
    assert_old_or_new(in_postgres, ring)


@pytest.mark.parametrize("sqlstate", ["53100", "58030"], ids=["disk full", "broken disk"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_server_without_a_disk_leaves_the_old_ring_and_says_so(in_postgres, operation, sqlstate: str) -> None:
    ring, before = ring_at(in_postgres), in_postgres.content()
    as_owner(
        in_postgres.config,
        "CREATE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql"
        f" AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$",
    )
    # Late: the row of the ring is replaced by then, and half of its keys.
    as_owner(
        in_postgres.config,
        "CREATE TRIGGER fail BEFORE INSERT ON encryption_keys FOR EACH ROW WHEN (NEW.position = 5)"
        " EXECUTE FUNCTION fail()",
    )
    with pytest.raises(KeyStoreRefused, match=rf"cannot be written \({sqlstate}\)"):
        operation(ring)
    assert in_postgres.content() == before
    as_owner(in_postgres.config, "DROP TRIGGER fail ON encryption_keys")
    operation(ring)
    assert_old_or_new(in_postgres, ring_at(in_postgres))


# -- a directory, as the kernel sees it -------------------------------------------------------------------------

#: Of the calls on the new file and its directory, in their order: what is done to the one that is hit.
CALLS = [("write", 1), ("fsync", 1), ("renameat", 1), ("fsync", 2)]


def traced(place: DirectoryPlace, argument: str, call: str, nth: int, done: str) -> "subprocess.CompletedProcess[str]":
    """Change the ring in a process of its own, where the kernel answers one call otherwise."""
    assert STRACE
    paths = [f"--trace-path={path}" for path in (place.path, place.path / "keyring.json.new")]
    inject = f"--inject={call}:{done}:when={nth}"
    child = [sys.executable, "-c", CHILD + CHANGE, *given_to_a_child(place, argument)]
    command = [STRACE, "-f", "-qqq", "-o", "/dev/null", *paths, inject, *child]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)


@needs_strace
@pytest.mark.parametrize(("call", "nth"), CALLS)
@pytest.mark.parametrize("argument", ["rotation", NEW_PASSWORD], ids=OPERATIONS)
def test_a_process_killed_in_the_kernel_leaves_a_ring_that_opens(in_a_directory, argument: str, call, nth) -> None:
    ring = ring_at(in_a_directory)
    done = traced(in_a_directory, argument, call, nth, "signal=KILL")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "open\n")
    assert_old_or_new(in_a_directory, ring)
    assert [each.name for each in in_a_directory.path.iterdir()] == ["keyring.json"]


@needs_strace
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(("call", "nth"), CALLS)
@pytest.mark.parametrize("argument", ["rotation", NEW_PASSWORD], ids=OPERATIONS)
def test_a_disk_that_fails_leaves_a_ring_that_opens(in_a_directory, argument: str, call, nth, error: str) -> None:
    ring = ring_at(in_a_directory)
    done = traced(in_a_directory, argument, call, nth, f"error={error}")
    assert (done.returncode, done.stdout) == (1, "open\n")
    assert "cypher.errors.KeyStoreRefused" in done.stderr
    assert "cannot be written" in done.stderr
    assert_old_or_new(in_a_directory, ring)
    assert [each.name for each in in_a_directory.path.iterdir()] == ["keyring.json"]
