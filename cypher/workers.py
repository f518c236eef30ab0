"""Several processes behind one port: started, watched, replaced when they die or hang, ended together.

The parent serves nothing and opens nothing: what it does not touch cannot break it. It is one thread without a loop, so
that it may fork. Should it be killed, each worker sees its link close, and ends by itself.
"""

import asyncio
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from cypher.signals import HURRY, ending

logger = logging.getLogger("cypher.workers")

#: How long one that died again and again is waited with; one that lived for a minute begins at the first.
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
SETTLED_SECONDS = 60.0
#: Beside the delay before it: each drains and closes in less.
STOP_SECONDS = 30.0

#: What a worker sends once it serves, and then every second as long as its loop turns.
BEAT = b"r"
BEAT_SECONDS = 1.0
#: One that has served and has not been heard of for so long is killed. Far more than anything may hold up a loop.
SILENCE_SECONDS = 30.0
#: Be worker `number`, over `link`, the first of all or not, until the end; raises SystemExit for another status than 0.
Work = Callable[[int, socket.socket, bool], None]


def beat(link: socket.socket) -> None:
    """Tell the parent, now and every second from now on, that this worker serves. Call it on the loop that serves."""
    with suppress(OSError):  # a parent that reads nothing is no reason to stop, and the end of one is heard elsewhere
        link.send(BEAT, socket.MSG_DONTWAIT)
    asyncio.get_running_loop().call_later(BEAT_SECONDS, beat, link)


@dataclass(slots=True)
class Place:
    """One of the workers' places: who stands there, or when the next one comes."""

    number: int
    pid: int | None = None
    link: socket.socket | None = None
    started_at: float = 0.0
    due: float | None = None
    deaths: int = 0
    ready: bool = False
    heard_at: float = 0.0


class Workers:
    """The first starts alone: it makes the keys, and waits for PostgreSQL. When it serves, the others start."""

    def __init__(
        self,
        count: int,
        work: Work,
        announce: Callable[[], None],
        *,
        delay_seconds: float,
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Fork nobody yet.

        `announce` is called once, when all of them serve; `on_end` with the process id of each that has ended.
        """
        self._on_end = on_end
        self._places = [Place(number) for number in range(count)]
        self._work = work
        self._announce: Callable[[], None] | None = announce
        self._patience = delay_seconds + STOP_SECONDS
        self._selector = selectors.DefaultSelector()
        self._deadline: float | None = None  #: when those that have not ended are killed
        self._has_served = False
        self._watched_at = time.monotonic()

    def run(self) -> int:
        """Return the exit status: 0 after a signal, that of the first worker if it never served."""
        with self._selector, heard() as signals:
            self._selector.register(signals, selectors.EVENT_READ)
            self._places[0].due = 0.0
            while True:
                self._start_due()
                for key, _ in self._selector.select(self._pause()):
                    if key.fileobj is signals:
                        self._hear(signals.recv(64))
                    else:
                        self._learn(key.data)
                self._watch()
                refused = self._reap()
                if refused is not None:
                    return refused
                if self._deadline is not None and not self._living():
                    return 0

    def _living(self) -> list[Place]:
        return [place for place in self._places if place.pid is not None]

    def _pause(self) -> float:
        moments = [place.due for place in self._places if place.due is not None]
        if self._deadline is not None:
            moments = [self._deadline]
        return max(0.0, min([BEAT_SECONDS, *(moment - time.monotonic() for moment in moments)]))

    def _start_due(self) -> None:
        now = time.monotonic()
        if self._deadline is not None:
            if now >= self._deadline:
                self._send(signal.SIGKILL)
            return
        for place in self._places:
            if place.due is not None and place.due <= now:
                self._fork(place)

    def _watch(self) -> None:
        """Kill who is silent: stopped, or in a loop that does not turn. Nobody else would notice."""
        now = time.monotonic()
        if now - self._watched_at > SILENCE_SECONDS / 2:
            # We have stood still ourselves, and they with us: a machine that was paused.
            for place in self._places:
                place.heard_at = now
        self._watched_at = now
        for place in self._living():
            if place.pid and place.ready and self._deadline is None and now - place.heard_at > SILENCE_SECONDS:
                logger.error("worker %d has been silent for %g s and is killed", place.number, SILENCE_SECONDS)
                place.heard_at = now
                os.kill(place.pid, signal.SIGKILL)

    def _fork(self, place: Place) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become(place, theirs)
        theirs.close()
        place.pid, place.link, place.started_at, place.due, place.ready = pid, ours, time.monotonic(), None, False
        self._selector.register(ours, selectors.EVENT_READ, place)

    def _become(self, place: Place, link: socket.socket) -> NoReturn:
        """Be the worker. Nothing of the parent's is unwound here: it goes on."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*ending(), signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for other in self._living():
                if other.link:
                    other.link.close()
            self._selector.close()
            self._work(place.number, link, not self._has_served)
            status = 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        finally:
            error = sys.exc_info()[1]
            if error is not None:
                sys.excepthook(type(error), error, error.__traceback__)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _hear(self, numbers: bytes) -> None:
        for number in set(numbers) - {signal.SIGCHLD}:
            if self._deadline is None:
                self._deadline = time.monotonic() + self._patience
                self._send(number)
            else:
                self._send(HURRY)

    def _send(self, number: int) -> None:
        for place in self._living():
            if place.pid is not None:
                os.kill(place.pid, number)  # not reaped yet, so it is still ours

    def _learn(self, place: Place) -> None:
        """Hear from a worker that it serves, still serves, or by the end of its link that it is about to end."""
        if place.link is None:
            return
        if not place.link.recv(16):
            self._selector.unregister(place.link)
            place.link.close()
            place.link = None
            return
        place.heard_at = time.monotonic()
        if place.ready:
            return
        place.ready = self._has_served = True
        for other in self._places:
            if other.pid is None and other.due is None:
                other.due = 0.0
        if self._announce and all(other.ready for other in self._places):
            self._announce()
            self._announce = None

    def _reap(self) -> int | None:
        """Take leave of who has ended; returns a status to end with when the first one never served."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            self._on_end(pid)
            for place in self._living():
                if place.pid == pid and not self._bury(place, os.waitstatus_to_exitcode(status)):
                    return 1

    def _bury(self, place: Place, status: int) -> bool:
        """Note the end of a worker and when it is replaced; False when there is nothing to go on with."""
        if place.link:
            self._selector.unregister(place.link)
            place.link.close()
        lived = time.monotonic() - place.started_at
        place.pid = place.link = None
        if self._deadline is not None:
            return True
        if not self._has_served:
            return False
        place.deaths = 0 if lived >= SETTLED_SECONDS else place.deaths + 1
        pause = PAUSES[min(place.deaths, len(PAUSES)) - 1 if place.deaths else 0]
        place.due = time.monotonic() + pause
        logger.error("worker %d has ended (status %d); the next one comes in %g s", place.number, status, pause)
        return True


@contextmanager
def heard() -> Iterator[socket.socket]:
    """Yield what becomes readable with each signal that ends a process, or tells of a child's end."""
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    numbers = (*ending(), signal.SIGCHLD)
    handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        reading.close()
        writing.close()
