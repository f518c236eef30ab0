"""What was measured, where and when: without it a number says nothing."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from bench import load
from bench.processes import ROOT

#: What a request goes through, and the peer of the rate limiter.
LIBRARIES = (
    *("aiohttp", "asyncpg", "cryptography", "hiredis", "msgspec", "opaque-ke-py", "PyJWT", "redis", "uvloop"),
    "limits",
)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """All about a run but its numbers."""

    made_at: datetime
    command: str
    commit: str  #: with a plus sign where the tree was changed since
    machine: str
    cores: int
    versions: list[str]
    load: str  #: the client that requests came from


def setting(command: str, servers: Sequence[str]) -> Setting:
    """Describe this process and its machine; `servers` are those that it used, with their versions."""
    return Setting(
        made_at=datetime.now(UTC).replace(microsecond=0),
        command=command,
        commit=_commit(),
        machine=_machine(),
        cores=len(os.sched_getaffinity(0)),
        versions=[f"Python {platform.python_version()}", *servers, *_libraries()],
        load=load.wrk_version() or "the client of bench/load",
    )


def _commit() -> str:
    commit = _said("git", "rev-parse", "--short=10", "HEAD")
    return commit + ("+" if _said("git", "status", "--porcelain", "--untracked-files=no") else "") if commit else "none"


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{platform.system()} {platform.machine()}, {model}"


def _libraries() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
