"""Folders and modes: who the servers run as, where their sockets stand, and the way there.

Nothing is opened to others except what is needed as root: passing through (not listing) the folders above the data.
"""

import hashlib
import os
import pwd
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cypher.errors import OperatorError

#: sun_path holds 108 bytes with the closing zero; the longest name in the folder is PostgreSQL's.
LONGEST_SOCKET = 107
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The account the servers run under when we are root, which PostgreSQL refuses."""

    uid: int
    gid: int

    @classmethod
    def choose(cls, path: Path) -> Self | None:
        """Return None to stay who we are; as root, the folder's owner, or `nobody` for root's or a nameless one's."""
        if os.geteuid() != 0:
            return None
        try:
            owner = pwd.getpwuid(path.stat().st_uid)
        except KeyError:  # initdb refuses to run as a user without a name
            owner = pwd.getpwuid(0)
        account = owner if owner.pw_uid != 0 else pwd.getpwnam("nobody")
        return cls(account.pw_uid, account.pw_gid)


def make_folder(folder: Path, user: ServerUser | None) -> None:
    """Make a folder that only the servers' user (and root) may enter."""
    folder.mkdir(mode=0o700)
    if user:
        os.chown(folder, user.uid, user.gid)


def socket_folder(path: Path, user: ServerUser | None) -> Path:
    """Return the private folder of both sockets.

    It is below `path` unless a socket's name would be too long, or hold what a list of hosts or an URL treats apart.
    """
    folder = path / "run"
    if len(os.fsencode(folder / POSTGRES_SOCKET)) > LONGEST_SOCKET or not re.fullmatch(r"[\w./-]+", str(folder), re.A):
        # Not TMPDIR: processes with different ones would not meet.
        folder = Path("/tmp") / f"cypher-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"  # noqa: S108
    with suppress(FileExistsError):
        make_folder(folder, user)
    found = folder.lstat()
    # In /tmp anybody may have been there first, and would be handed every query.
    owner = user.uid if user else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise OperatorError(f"{folder} is not a private folder of the servers' user: remove it.")
    return folder


def let_pass(path: Path, programs: Sequence[Path]) -> None:
    """Let other users pass to `path` and use what is installed in the folders `programs`: only what lacks."""
    for folder in (path, *path.parents, *(above for program in programs for above in program.parents)):
        _add(folder, stat.S_IXOTH)
    for program in programs:
        if program.stat().st_mode & 0o005 != 0o005:
            # Installed under a strict umask. A published program is no secret: others may do what its owner may.
            for entry in (program, *program.rglob("*")):
                _add(entry, entry.stat().st_mode >> 6 & 0o5)


def _add(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)


def write_secret(file: Path, value: str) -> None:
    """Write a file of mode 0600 whole or not at all."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(f"{value}\n")
        output.flush()
        os.fsync(output.fileno())
    unfinished.rename(file)
