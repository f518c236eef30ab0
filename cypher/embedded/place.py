"""Runs programs where the embedded servers live and as the user they live under."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cypher.embedded.folders import ServerUser, let_pass, make_folder, socket_folder
from cypher.embedded.locks import is_held, taken
from cypher.errors import OperatorError

#: Recovery after a kill takes a second or two; this is for a slow disk.
START_SECONDS = 30
LOOK_SECONDS = 0.02
#: Servers and their tools see no variable of the caller: PGPORT and its like would change what they do.
ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of the data, the folder of the sockets, and the user if it is not ours."""

    path: Path
    sockets: Path
    user: ServerUser | None

    @classmethod
    def at(cls, path: Path) -> Self:
        user = ServerUser.choose(path)
        return cls(path, socket_folder(path, user), user)

    def make(self, name: str) -> Path:
        make_folder(self.path / name, self.user)
        return self.path / name

    def open_to(self, *programs: Path) -> None:
        """See to it that the servers' user reaches its data and the files in `programs`."""
        if self.user:
            let_pass(self.path, programs)

    def is_running(self, name: str) -> bool:
        """Say whether any process of the server `name` lives."""
        return is_held(self.path / f"{name}.alive")

    def run(self, program: Path, *arguments: str, lock: int | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a tool to its end, whatever that is. It holds `lock` as well, until it has ended."""
        return subprocess.run(  # noqa: S603
            [program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            pass_fds=[] if lock is None else [lock],
            user=self.user.uid if self.user else None,
            group=self.user.gid if self.user else None,
            extra_groups=[] if self.user else None,
        )

    def start(
        self, name: str, command: Sequence[str], *, answers: Callable[[], bool], leftovers: Sequence[Path]
    ) -> None:
        """Return when the server answers: at once if it runs, else after a start. Its log stays beside its data.

        `leftovers` may stay behind a kill; they are removed when no process of the server lives.
        """
        log, deadline, started = self.path / f"{name}.log", time.monotonic() + START_SECONDS, False
        while not answers():
            with taken(self.path / f"{name}.alive") as lock:
                if lock is not None and started:
                    raise OperatorError(f"The embedded {name} ended while it started; {log} says why.")
                if lock is not None:
                    for leftover in leftovers:
                        leftover.unlink(missing_ok=True)
                    self._spawn(command, self.path / name, log, lock)
                    started = True
            if time.monotonic() > deadline:
                raise OperatorError(f"The embedded {name} does not answer; {log} may say why.")
            time.sleep(LOOK_SECONDS)

    def _spawn(self, command: Sequence[str], folder: Path, log: Path, lock: int) -> None:
        # The shell leaves the server to init, in a session of its own: Ctrl-C in a terminal is not for the server.
        # For our own eyes: as root, others may pass through this folder, and a server's log quotes rows.
        with open(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
            subprocess.run(  # noqa: S603
                ["/bin/sh", "-c", '"$@" &', "sh", *command],
                check=True,
                cwd=folder,
                env=ENVIRONMENT,
                start_new_session=True,
                pass_fds=[lock],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=self.user.uid if self.user else None,
                group=self.user.gid if self.user else None,
                extra_groups=[] if self.user else None,
            )
