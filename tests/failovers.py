"""Failovers in the middle of a run: `-p tests.failovers`, where CYPHER_TEST_REDIS names Sentinels.

Every so many-th test meets one, between its fixtures and its first step: its service has connections to a primary that
is killed. The replica has all that was written by then, so that there is nothing a test has to forgive: what it does
next must work. No other test runs meanwhile.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import RUN
from tests.redis_sentinels import fail_over

MEETS_ONE = pytest.StashKey[bool]()
TURN = pytest.StashKey[IO[str]]()
SECONDS = "seconds of a failover"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--failover-every", type=int, default=40, metavar="TESTS")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    every = config.getoption("failover_every")
    for item in items[every // 2 :: every]:
        item.stash[MEETS_ONE] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with _turn(Path(os.environ[RUN]), alone=MEETS_ONE in item.stash) as item.stash[TURN]:
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    if MEETS_ONE in item.stash:
        item.user_properties.append((SECONDS, fail_over(os.environ["CYPHER_TEST_REDIS"])))
        fcntl.flock(item.stash[TURN], fcntl.LOCK_SH)
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    took = [dict(report.user_properties)[SECONDS] for report in reports if SECONDS in dict(report.user_properties)]
    longest = f", {max(took):.1f} s at most until there was a primary again" if took else ""
    terminalreporter.write_line(f"{len(took)} failovers{longest}")


@contextmanager
def _turn(folder: Path, *, alone: bool) -> Iterator[IO[str]]:
    """Hold a lock beside the other workers, or alone; whoever waits to be alone lets nobody else begin."""
    with (folder / "failovers.turn").open("w") as turn:
        with (folder / "failovers.door").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield turn
