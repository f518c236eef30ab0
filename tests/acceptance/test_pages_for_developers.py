"""docs/library.md and docs/encrypted-fields.md, followed to the letter."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cypher.schema import names
from tests.acceptance.test_documents import first_python
from tests.factories import as_owner

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

STEP = re.compile(r"^`(\S+)`(?:, (at the end|before `([^`]+)`))?:\n\n```\w+\n(.*?)```", re.M | re.S)


def test_an_application_keeps_records_of_any_form(environment, tmp_path, postgres_config) -> None:
    """Twice: the second time all of it is there already."""
    (tmp_path / "app.py").write_text(first_python(ROOT / "docs" / "library.md"))
    settings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    for first in ("stored", "this name is taken"):
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
        )
        assert done.stderr.count("\n") <= 1, done.stderr
        assert done.stdout.splitlines() == [first, "the same bytes"]
    [(row,)] = as_owner(postgres_config, "SELECT u::text FROM users u")
    assert "ada" not in row.lower().split(",")
    actions = as_owner(postgres_config, "SELECT action FROM audit_logs")
    assert actions.count(("auth.registration.completed",)) == 1


def follow(page: str, copy: Path) -> None:
    """Do each step of the page to a copy of the tree."""
    before = names()[-1]
    page = page.replace("NNNN", f"{int(before[:4]) + 1:04}").replace("BEFORE", before)
    steps = STEP.findall(page)
    assert len(steps) == 9
    for path, where, anchor, block in steps:
        file = copy / path
        if not where:
            assert not file.exists()
            file.write_text(block)
        elif anchor:
            text = file.read_text()
            assert text.count(anchor) == 1, anchor
            file.write_text(text.replace(anchor, block + anchor))
        else:
            file.write_text(file.read_text() + block)


async def test_a_field_that_is_added_by_the_page_is_sealed_and_swept(tmp_path) -> None:
    copy = tmp_path / "tree"
    copy.mkdir()
    for part in ("cypher", "sql", "migrations", "tests"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(ROOT / "setup.cfg", copy)
    page = (ROOT / "docs" / "encrypted-fields.md").read_text()
    follow(page, copy)
    (command,) = re.findall(r"^pytest (.*)$", page, re.M)
    # Servers of its own: those of this run are another schema's.
    settings = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shlex.split(command)),
        cwd=copy,
        env={**settings, "PYTHONPATH": str(copy)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert int(re.search(rb"(\d+) passed", told)[1]) >= 8
