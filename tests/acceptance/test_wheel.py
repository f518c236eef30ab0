"""The wheel carries everything, and serves from a folder that knows nothing of the source tree."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.service import free_port

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cw-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    """Build from a copy, so that nothing of an earlier build slips in and nothing is left in the tree."""
    (folder / "source").mkdir()
    for part in ("cypher", "sql", "migrations", "setup.cfg", "pyproject.toml", "README.md"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / "source" / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / "source" / part)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(folder / "source")]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path, folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "site"),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    return folder / "site"


def test_wheel_holds_every_module_query_script_and_migration(wheel: Path) -> None:
    kinds = ("*.py", "*.lua", "*.css")
    expected = {str(file.relative_to(ROOT)) for kind in kinds for file in (ROOT / "cypher").rglob(kind)}
    expected |= {
        f"cypher/{file.relative_to(ROOT)}" for name in ("sql", "migrations") for file in (ROOT / name).iterdir()
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == expected | {"cypher/py.typed"}


async def test_wheel_serves_from_a_foreign_folder(site: Path, folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    # Libraries come from here, Cypher only from the wheel: -S keeps the editable install of the source tree away.
    start = (
        f"import sys; sys.path += [{str(site)!r}, {sysconfig.get_path('purelib')!r}]; import cypher.cli as c; c.main()"
    )
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", start, "serve"),
        cwd=work,
        env={"PATH": os.environ["PATH"], "PORT": str(port), "ADMIN_PORT": str(free_port())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert b"Cypher answers" in line, (await process.communicate())[1].decode()
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/health/ready") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "ok")
        assert (work / ".cypher" / "keys" / "keyring.json").exists()
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0
