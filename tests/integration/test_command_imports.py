"""What a command imports before it does anything: nothing that only others need. And what the list of them says."""

import json
import os
import subprocess
import sys

import pytest

from cypher.cli import COMMANDS
from tests.processes import ROOT

IMPORTED = """
import json, sys
from cypher.cli import app
try:
    app({words!r})
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported_by(*words: str) -> set[str]:
    """Return all that a process has imported when a command has ended."""
    command = [sys.executable, "-c", IMPORTED.format(words=[*words])]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_list_of_commands_needs_none_of_them() -> None:
    imported = imported_by("--help")
    assert "cypher.cli" in imported
    assert not imported & {"aiohttp", "asyncpg", "cypher.app", "msgspec", "psycopg", "redis", "uvloop", "yoyo"}


@pytest.mark.parametrize(
    ("words", "not_needed"),
    [
        (("users", "list"), {"aiohttp", "jwt", "pyotp", "segno", "yoyo", "cypher.wiring"}),
        (("keys", "status"), {"aiohttp", "jwt", "pyotp", "segno", "yoyo", "cypher.wiring"}),
        (("audit", "tail"), {"aiohttp", "jwt", "pyotp", "segno", "yoyo", "cypher.wiring"}),
        (("migrate",), {"aiohttp", "jwt", "pyotp", "segno", "cypher.auth.people", "cypher.web"}),
        (("serve",), {"yoyo", "cypher.client", "cypher.doctor"}),
    ],
)
def test_a_command_imports_nothing_that_only_others_need(words: tuple[str, ...], not_needed: set[str]) -> None:
    imported = imported_by(*words, "--help")
    assert "cypher.app" in imported
    assert not imported & not_needed


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_is_described_in_the_list_as_in_its_own_module(command) -> None:
    loaded = command.load()
    assert command.help == loaded.help.split("\n\n")[0].replace("\n", " ")
    assert hasattr(loaded, "commands") or loaded.name == command.name
