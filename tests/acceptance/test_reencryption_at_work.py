"""Re-encryption as its operator sees it: at a terminal, interrupted, and by itself in a running service."""

import asyncio
import os
import pty
import re
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from cypher.clock import SystemClock
from cypher.config import load
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.maintenance.background import SETTLED
from cypher.serving import running
from tests.acceptance.person import Person
from tests.acceptance.service import ROOT, Service
from tests.processes import as_in_a_terminal

VALUES = 24
#: Colours, and movements of the cursor.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Later(SystemClock):
    """A clock that is ahead of the machine's: the rotation was a while ago."""

    def now(self):
        return super().now() + SETTLED + timedelta(seconds=1)


class Terminal:
    """A command with a terminal for its standard error, and what it has shown there."""

    def __init__(self, process: asyncio.subprocess.Process, screen: int) -> None:
        self.process = process
        self._screen = screen
        self.shown = ""

    @classmethod
    async def run(cls, environment: dict[str, str], folder: Path, *arguments: str) -> "Terminal":
        screen, far = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cypher", *arguments),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=far,
            preexec_fn=as_in_a_terminal,
        )
        os.close(far)
        os.set_blocking(screen, False)
        return cls(process, screen)

    async def until(self, pattern: str) -> None:
        """Wait until something like this is on the screen."""
        async with asyncio.timeout(30):
            while not re.search(pattern, self.shown):
                self._read()
                await asyncio.sleep(0.05)

    async def ended(self) -> tuple[int, str]:
        """Wait for its end; returns its status and what it has printed."""
        ending = asyncio.ensure_future(self.process.communicate())
        async with asyncio.timeout(30):
            while not ending.done():
                # Of a screen that nobody reads the kernel takes 4 KiB; then whoever writes on it stands still.
                self._read()
                await asyncio.sleep(0.05)
        printed, _ = await ending
        self._read()
        os.close(self._screen)
        return self.process.returncode or 0, printed.decode()

    def _read(self) -> None:
        with suppress(OSError):
            self.shown += ESCAPES.sub("", os.read(self._screen, 65536).decode(errors="replace"))


@pytest.fixture
async def old_key(service, http) -> str:
    """The id of a key that was replaced, with twenty values under it."""
    for number in range(4):
        person = Person(http, service.url, f"person-{number}")
        await person.register()
        await person.login()
    old = service.resources.ring.primary(Purpose.DATA).id
    await asyncio.to_thread(rotate, service.resources.ring, Purpose.DATA)
    return old


async def left_under(service: Service, key_id: str) -> int:
    async with service.resources.upkeep.connection() as repos:
        return sum((await repos.sealed_columns.count_rows()).get(key_id, {}).values())


async def test_a_sweep_shows_how_far_it_is_can_be_paused_and_goes_on_after_ctrl_c(
    service, old_key: str, run_cli, tmp_path: Path
) -> None:
    sweep = await Terminal.run(service.environment, tmp_path, "keys", "reencrypt", "--rate", "2")
    await sweep.until(rf"users\.username +.* 4/{VALUES} ")
    sweep.process.send_signal(signal.SIGSTOP)
    paused = await left_under(service, old_key)
    assert paused == await left_under(service, old_key) == VALUES - 4
    sweep.process.send_signal(signal.SIGCONT)
    await sweep.until(rf"users\.opaque_record +.* 8/{VALUES} ")
    sweep.process.send_signal(signal.SIGINT)
    assert await sweep.ended() == (130, "")
    assert "Traceback" not in sweep.shown
    left = await left_under(service, old_key)
    assert 0 < left <= VALUES - 8
    again = await run_cli(service, "keys", "reencrypt")
    assert again.stdout.startswith(f"{left} values were moved to ")
    assert await left_under(service, old_key) == 0


async def test_a_running_service_moves_old_rows_by_itself(service, old_key: str) -> None:
    async with running(load(service.environment, None), Later(), port=0), asyncio.timeout(30):
        while await left_under(service, old_key):
            await asyncio.sleep(0.1)


async def test_a_service_that_is_told_so_leaves_them(service, old_key: str) -> None:
    environment = {**service.environment, "REENCRYPT_BACKGROUND": "off"}
    async with running(load(environment, None), Later(), port=0):
        await asyncio.sleep(1)
        assert await left_under(service, old_key) == VALUES
