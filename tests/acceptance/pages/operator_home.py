"""A checkout of Cypher's, as far as an operator needs it, and a shell in it that types what a page shows."""

import os
import pty
import re
import secrets
import shutil
import signal
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.service import free_port
from tests.processes import LIBRARIES, ROOT, as_in_a_terminal

#: What `make` and the pages' commands look at.
PARTS = (
    *("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt", "run.py", "docker-compose.yml"),
    *("setup_database.sh", ".env.example", "sql", "migrations"),
)
SECONDS = 120


@dataclass
class Home:
    """`folder` is the checkout; `said` is what each command has written, by the page's words."""

    folder: Path
    environment: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    serving: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PORT']}"

    def run(self, command: str, *, status: int = 0, as_: str | None = None) -> str:
        """Run it at a terminal whose person says yes to everything; fails on another exit status."""
        keyboard, terminal = pty.openpty()
        os.write(keyboard, b"y\n")
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.folder,
            env=self.environment,
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        os.close(terminal)
        os.close(keyboard)
        assert done.returncode == status, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        self.said[as_ or command] = done.stdout
        return done.stdout

    def serve(self, command: str) -> None:
        """Start what serves, and return when it says that it does."""
        self.stop()
        with (self.folder / "log").open("a") as log:
            self.serving = subprocess.Popen(
                ["bash", "-ec", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=as_in_a_terminal,
                start_new_session=True,
            )
        assert self.serving.stdout is not None
        while "Ctrl-C" not in (line := self.serving.stdout.readline()):
            assert line, (self.folder / "log").read_text()

    def stop(self) -> None:
        """Press Ctrl-C, as a terminal sends it to make and all below."""
        if self.serving is not None:
            os.killpg(self.serving.pid, signal.SIGINT)
            self.serving.communicate(timeout=SECONDS)
            self.serving = None

    def edit(self, **settings: str) -> None:
        """Do in `.env` what an operator does in an editor."""
        file = self.folder / ".env"
        text = file.read_text()
        for name, value in settings.items():
            text, found = re.subn(rf"^#?{name}=.*$", lambda _, line=f"{name}={value}": line, text, flags=re.M)
            assert found == 1, name
        file.write_text(text)

    def play(self, program: str, script: str) -> None:
        """Put a program before all others on the path."""
        file = self.folder / "bin" / program
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)


@contextmanager
def home(folder: Path) -> Iterator[Home]:
    """Make one without an `.env`, whose libraries are those of this Python; whatever serves in it ends."""
    checkout = folder / "cypher"
    checkout.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, checkout / part)
    _make_venv(checkout / ".venv")
    path = f"{checkout}/bin:{os.defpath}"
    made = Home(checkout, {"PATH": path, "HOME": str(folder), "PORT": str(free_port()), "ADMIN_PORT": str(free_port())})
    try:
        yield made
    finally:
        made.stop()


def drawn() -> str:
    """Return a password as `openssl rand` would give it."""
    return secrets.token_urlsafe(32)


def _make_venv(path: Path) -> None:
    """Make what `make .venv/ready` makes, but for the downloading."""
    venv.create(path, symlinks=True)
    [packages] = path.glob("lib/python*/site-packages")
    (packages / "of_this_run.pth").write_text("\n".join(LIBRARIES.split(":")))
    program = path / "bin" / "cypher"
    program.write_text(f"#!{path}/bin/python\nfrom cypher.cli import main\n\nmain()\n")
    program.chmod(0o755)
    (path / "ready").touch()
