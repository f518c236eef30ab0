"""The signals that ask a process to end: each lets it stop what it has started, and none breaks into that."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


def ending() -> tuple[signal.Signals, ...]:
    """Return those that end this process. `nohup` has SIGHUP ignored, which stays so."""
    always = (signal.SIGTERM, signal.SIGINT)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)


def unwind_on_all() -> None:
    """Let each of them raise where the program is, as Python has it for Ctrl-C alone; SystemExit for the others."""
    for number in ending():
        if number is not signal.SIGINT:
            signal.signal(number, _leave)


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
