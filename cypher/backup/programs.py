"""Finds PostgreSQL's own programs in a version that fits, and says how they reach the database."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cypher.config import PostgresConfig
from cypher.embedded import postgres_binaries
from cypher.errors import OperatorError

#: Where Debian keeps the programs of each version.
DEBIAN = Path("/usr/lib/postgresql")
#: What pg_restore sends from this version on is not understood by servers before it, whose own pg_restore does not
#: read what this version's pg_dump writes.
NEW_TIMEOUTS = 17
NO_TLS = "knows no TLS"


@dataclass(frozen=True, slots=True, order=True)
class Program:
    """A program and its version, as 18. Those of the wheel are built without TLS, and come after others."""

    major: int
    lacks_tls: bool
    path: Path

    def failure(self, said: bytes) -> str:
        """Return what the program complained of, and what to do where that is its own lack."""
        told = complaint(said)
        if not (self.lacks_tls and "no encryption" in told):
            return told
        return f"{told}. {self.path} {NO_TLS}: install PostgreSQL's client (postgresql-client-{self.major})"


def find_program(name: str, *, at_least: int, back_to: int = 0, needs_tls: bool = False) -> Program:
    """Return the oldest `name` there is of version `at_least` or later: that of the server, or of what wrote a dump.

    `back_to` is the version of the server that a dump is to be brought back to, 0 where there is none. Raises
    OperatorError, which names what to install.
    """
    found = sorted(set(_versions(name)))
    fitting = [program for program in found if _fits(program.major, at_least, back_to)]
    for program in fitting:
        if not (needs_tls and program.lacks_tls):
            return program
    most = f", and {NEW_TIMEOUTS - 1} at most" if 0 < back_to < NEW_TIMEOUTS else ""
    there = ", ".join(
        f"{program.path} is of version {program.major}{f' and {NO_TLS}' if needs_tls and program.lacks_tls else ''}"
        for program in found
    )
    raise OperatorError(
        f"There is no {name} here that fits: it must not be older than PostgreSQL {at_least}{most}; "
        f"{there or 'there is none at all'}. Install PostgreSQL's client of that version "
        f"(postgresql-client-{at_least})."
    )


def environment_of(config: PostgresConfig) -> dict[str, str]:
    """Return what a program is told of the database, and of nothing else: the password is in no command line."""
    secret = {"PGPASSWORD": config.password.reveal()} if config.password else {}
    several = {"PGTARGETSESSIONATTRS": "read-write"} if len(config.hosts) > 1 else {}
    tls = {f"PG{name.upper()}": value for name, value in config.tls().items()}
    return {
        "PATH": os.defpath,
        "LC_ALL": "C",
        "PGHOST": ",".join(config.hosts),
        "PGPORT": str(config.port),
        "PGUSER": config.user,
        "PGDATABASE": config.database,
        "PGCONNECT_TIMEOUT": "5",
        **secret,
        **several,
        **tls,
    }


def complaint(said: bytes) -> str:
    """Return what a program complained of first. Its other lines may quote rows."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if "error:" in line]
    return lines[0][:300] if lines else "it says nothing"


def _fits(major: int, at_least: int, back_to: int) -> bool:
    return major >= at_least and not 0 < back_to < NEW_TIMEOUTS <= major


def _versions(name: str) -> Iterator[Program]:
    for path, lacks_tls in _places(name):
        if path.is_file() and (major := _major(path)):
            yield Program(major, lacks_tls, path)


def _places(name: str) -> Iterator[tuple[Path, bool]]:
    with suppress(OperatorError):
        yield postgres_binaries() / name, True
    if found := shutil.which(name):
        yield Path(found), False
    yield from ((path, False) for path in DEBIAN.glob(f"*/bin/{name}"))


def _major(path: Path) -> int | None:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) ([0-9]+)", said.stdout)
    return int(version[1]) if version else None
