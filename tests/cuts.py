"""Cuts what a process does off, at one of its calls: the process is killed before or after it, or the call fails."""

import errno
import os
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress

#: Makes the call that it is given, or does not.
Act = Callable[[Callable[[], object]], object]


class Cut:
    """Counts calls until the turn of one has come, which is made as `act` says."""

    def __init__(self, at: int, act: Act) -> None:
        self._left = at
        self._act = act
        self.calls: list[str] = []

    def call(self, name: str, done: Callable[[], object]) -> object:
        self.calls.append(name)
        self._left -= 1
        return self._act(done) if self._left == 0 else done()


def kill_before(done: Callable[[], object]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after(done: Callable[[], object]) -> None:
    with suppress(OSError):
        done()
    os.kill(os.getpid(), signal.SIGKILL)


def no_space(done: Callable[[], object]) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def broken_disk(done: Callable[[], object]) -> None:
    raise OSError(errno.EIO, "Input/output error")


def killed_in_a_fork(work: Callable[..., object], *given: object) -> bool:
    """Run it in a process of its own; tell whether that was killed. Otherwise it must have come to its end."""
    with warnings.catch_warnings():
        # Later Pythons warn of other threads; the child needs none of them, and lives for a moment.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work(*given)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
