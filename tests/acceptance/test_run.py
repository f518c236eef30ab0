"""`python run.py` where there is nothing but Python: it makes what it needs, finds it again, and leaves no process."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from cypher.client import CypherClient
from tests.acceptance.service import free_port
from tests.processes import LIBRARIES, ROOT, as_in_a_terminal, end_with, private_folder, processes, python_of_others

PASSWORD = "correct horse battery staple"
USUAL_PORTS = (5432, 6379)
SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run.py that answers, and what it has said."""

    process: subprocess.Popen[str]
    url: str
    said: str
    seconds: float  #: from its start to its first answer

    def end(self) -> tuple[int, str]:
        """Press Ctrl-C; returns exit status and standard error."""
        self.process.send_signal(signal.SIGINT)
        err = self.process.communicate(timeout=40)[1]
        return self.process.returncode, err


StartRun = Callable[..., Run]


@pytest.fixture
def folder() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder


def popen(folder: Path, port: int, python: str = sys.executable, uid: int | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [python, str(ROOT / "run.py")],
        cwd=folder,
        env={"PATH": os.defpath, "PORT": str(port), "PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )


@pytest.fixture
def start_run() -> Iterator[StartRun]:
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path, python: str = sys.executable, uid: int | None = None) -> Run:
        port, began = free_port(), time.monotonic()
        process = popen(folder, port, python, uid)
        started.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        seconds = time.monotonic() - began
        assert lines[0], process.communicate()[1]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        return Run(process, f"http://127.0.0.1:{port}", "".join(lines), seconds)

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def register(url: str, username: str) -> None:
    async with CypherClient(url) as client:
        await client.register(username, PASSWORD)


async def log_in(url: str, username: str) -> None:
    async with CypherClient(url) as client:
        assert (await client.login(username, PASSWORD)).username == username


async def test_a_first_start_says_what_it_made_and_the_next_ones_find_it_in_under_three_seconds(
    folder: Path, start_run: StartRun
) -> None:
    with ExitStack() as stack:
        for port in USUAL_PORTS:  # somebody else's servers, or these
            taken = stack.enter_context(socket.socket())
            with suppress(OSError):
                taken.bind(("127.0.0.1", port))
        first = start_run(folder)
        await register(first.url, "ada")
    assert first.said.startswith(f"Cypher answers on {first.url}\n")
    assert f"{folder / '.cypher'} (made;" in first.said
    assert f"cypher demo --url {first.url}\n" in first.said
    assert "Ctrl-C" in first.said
    assert first.end()[0] == 0
    assert processes(folder) == []

    took = []
    for _ in range(3):  # what else the machine does passes, a slow start does not
        again = start_run(folder)
        took.append(again.seconds)
        assert f"{folder / '.cypher'} (found again;" in again.said
        await log_in(again.url, "ada")
        assert again.end()[0] == 0
        assert processes(folder) == []
        if again.seconds < SECONDS:
            break
    # A machine with more to do than cores is given the time in proportion.
    assert min(took) < SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.slow
async def test_a_second_one_with_another_port_joins_and_the_last_one_stops_the_servers(
    folder: Path, start_run: StartRun
) -> None:
    one = start_run(folder)
    await register(one.url, "ada")
    two = start_run(folder)
    async with CypherClient(one.url) as client, aiohttp.ClientSession() as http:
        await client.login("ada", PASSWORD)
        headers = {"Authorization": f"Bearer {await client.access_token()}"}
        for status in (200, 401):  # also of an instance that names another origin as its own
            async with http.get(f"{two.url}/v1/session", headers=headers) as answer:
                assert answer.status == status
            await client.logout()
    assert one.end()[0] == 0
    await log_in(two.url, "ada")
    assert two.end()[0] == 0
    assert processes(folder) == []


@pytest.mark.slow
async def test_after_a_kill_of_everything_the_next_start_has_what_was_acknowledged(
    folder: Path, start_run: StartRun
) -> None:
    killed = start_run(folder)
    await register(killed.url, "ada")
    killed.process.kill()
    end_with(folder, signal.SIGKILL)
    killed.process.communicate()
    again = start_run(folder)
    await log_in(again.url, "ada")
    assert again.end()[0] == 0
    assert processes(folder) == []


def test_pressing_ctrl_c_again_and_again_leaves_nothing(folder: Path, start_run: StartRun) -> None:
    run = start_run(folder)
    while run.process.poll() is None:
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    run.process.communicate()
    assert processes(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ended_while_it_makes_its_servers_it_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    with popen(folder, free_port()) as process:
        while not (folder / ".cypher" / "postgres.new").exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(number)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 128 + number
    assert err == ""
    assert processes(folder) == []


def test_a_taken_port_is_said_in_one_sentence_and_nothing_stays(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with popen(folder, port) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    sentence = f"cypher: 127.0.0.1:{port} cannot be listened on. Is it taken? Look at PORT, and at HOST."
    assert err.splitlines()[-1] == sentence
    assert "Traceback" not in err
    assert processes(folder) == []


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root becomes somebody else; other tests here run as an ordinary one"
)
async def test_it_works_as_an_ordinary_user(folder: Path, start_run: StartRun) -> None:
    uid = pwd.getpwnam("daemon").pw_uid
    os.chown(folder, uid, uid)
    run = start_run(folder, python_of_others(uid, "cypher.serving"), uid)
    await register(run.url, "ada")
    await log_in(run.url, "ada")
    assert {(folder / ".cypher" / name).stat().st_uid for name in ("keys", "postgres", "valkey")} == {uid}
    assert run.end()[0] == 0
    assert processes(folder) == []


def test_without_its_dependencies_it_says_which_command_sets_them_up(folder: Path) -> None:
    # -S: without the site's packages, as on a machine where nothing was set up.
    command = [sys.executable, "-S", str(ROOT / "run.py")]
    ended = subprocess.run(command, cwd=folder, env={"PATH": os.defpath}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "make run" in ended.stderr
    assert list(folder.iterdir()) == []
