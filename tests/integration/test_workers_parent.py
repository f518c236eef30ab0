"""A parent and its workers: who dies is replaced, later each time; who does not end is killed. No service here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import ROOT

SCRIPT = """
import logging, os, signal, sys, time
from cypher import workers

def work(number, link, is_first):
    assert is_first is (number == 0)
    {work}

logging.basicConfig(stream=sys.stdout, format="%(message)s")
workers.STOP_SECONDS = {patience}
workers.SILENCE_SECONDS = {silence}
sys.exit(workers.Workers(2, work, lambda: print("all serve", flush=True), delay_seconds=0).run())
"""


@contextmanager
def parent(work: str, patience: float = 0.2, silence: float = 30.0) -> Iterator["subprocess.Popen[str]"]:
    """Run a parent whose workers do this."""
    command = [sys.executable, "-u", "-c", SCRIPT.format(work=work, patience=patience, silence=silence)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_dies_again_and_again_comes_back_later_each_time() -> None:
    with parent("if number: sys.exit(3)\n    link.send(b'r')\n    signal.pause()") as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    ends = "worker 1 has ended (status 3); the next one comes in"
    assert lines == [f"{ends} 0 s\n", f"{ends} 1 s\n", f"{ends} 2 s\n"]


def test_who_is_stopped_is_killed_and_replaced_and_who_beats_goes_on() -> None:
    work = (
        "link.send(workers.BEAT)\n"
        "    if number: os.kill(os.getpid(), signal.SIGSTOP)\n"
        "    while True: time.sleep(0.1); link.send(workers.BEAT)"
    )
    with parent(work, silence=0.8) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    silent = "worker 1 has been silent for 0.8 s and is killed\n"
    assert lines == ["all serve\n", silent, "worker 1 has ended (status -9); the next one comes in 0 s\n"]


def test_a_machine_that_was_paused_costs_nobody_their_life() -> None:
    work = "while True: link.send(workers.BEAT); time.sleep(0.1)"
    with parent(work, silence=0.8) as process:
        assert process.stdout
        assert process.stdout.readline() == "all serve\n"
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(1.2)
        # The parent first: it must not count what nobody could send.
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout.read() == ""


def test_when_the_first_never_serves_its_end_is_the_end_of_all() -> None:
    with parent("sys.exit(3)") as process:
        assert process.wait(20) == 1
        assert process.stdout
        assert process.stdout.read() == ""


def test_who_does_not_end_is_killed() -> None:
    work = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    link.send(b'r')\n    signal.sigwait([signal.SIGUSR1])"
    with parent(work) as process:
        assert process.stdout
        assert process.stdout.readline() == "all serve\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_asked_twice_it_hurries_them() -> None:
    # Waited for and not handled: a signal between the look for one and `pause` would be slept over, until the kill.
    # Written at once: `print` makes two writes where nothing is buffered, and the other worker's may come in between.
    work = (
        "asked = {signal.SIGTERM, signal.SIGQUIT}\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, asked)\n"
        "    link.send(b'r')\n"
        "    while signal.sigwait(asked) != signal.SIGQUIT: os.write(1, b'asked\\n')"
    )
    with parent(work, patience=60) as process:
        assert process.stdout
        assert process.stdout.readline() == "all serve\n"
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            while process.poll() is None and process.stdout.readline() != "asked\n":
                pass
        assert process.wait(20) == 0
