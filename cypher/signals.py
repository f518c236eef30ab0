"""The signals that ask a process to end: each lets it stop what it has started, and none breaks into that."""

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

#: By which a parent tells its workers not to wait for what is under way.
HURRY = signal.SIGQUIT


def ending() -> tuple[signal.Signals, ...]:
    """Return those that end this process. `nohup` has SIGHUP ignored, which stays so."""
    always = (signal.SIGTERM, signal.SIGINT)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)


def unwind_on_all() -> None:
    """Let each of them raise where the program is, as Python has it for Ctrl-C alone; SystemExit for the others."""
    for number in ending():
        if number is not signal.SIGINT:
            signal.signal(number, _leave)


class Ending:
    """How a service is asked to end: once, and it finishes what is under way; again, and it does not wait for that."""

    def __init__(self, link: socket.socket | None = None) -> None:
        """Hear the signals from now on; asked before `started`, the task that made this is cancelled.

        A worker has the `link` to its parent, whose end is its own, and is hurried by its parent alone: terminals and
        service managers send each signal to all processes, and the parent sends it on.
        """
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self.by: int | None = None  #: the signal that came first
        self._starting = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._link = link
        for number in ending():
            self._loop.add_signal_handler(number, self._hear, number)
        if link:
            self._loop.add_signal_handler(HURRY, self.hurried.set)
            self._loop.add_reader(link, self._orphaned, link)

    def started(self) -> None:
        """Cancel nobody from now on: whoever serves waits for `asked`."""
        self._starting = None

    def _hear(self, number: int) -> None:
        if self.asked.is_set():
            if not self._link:
                self.hurried.set()
            return
        self.by = number
        self.asked.set()
        if self._starting:
            self._starting.cancel()

    def _orphaned(self, link: socket.socket) -> None:
        self._loop.remove_reader(link)
        self._hear(signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep them away from a block: half an end leaves behind what nobody stops."""
    if threading.current_thread() is not threading.main_thread():  # handlers run, and raise, in the main one only
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ending()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
