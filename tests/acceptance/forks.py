"""`cypher ARGUMENTS` in a process of its own that need not import anything anew, which takes most of a second.

It is forked from one that has imported all and done nothing else: what a command does, says and returns is the same.
"""

import asyncio
import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

#: What commands import; a module that reads the environment as it is imported must not be among it.
IMPORTED = ["cypher.app", "cypher.operating", "cypher.commands.users", "cypher.commands.audit"]

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(IMPORTED)


async def run_forked(environment: dict[str, str], folder: Path, *arguments: str) -> CompletedProcess[str]:
    """Run a command with these settings in `folder`."""
    with tempfile.TemporaryDirectory() as written:
        out, err = Path(written) / "out", Path(written) / "err"
        process = _forking.Process(target=_run, args=(environment, folder, out, err, arguments))
        process.start()
        try:
            await asyncio.to_thread(process.join)
        finally:
            process.kill()
        return CompletedProcess(arguments, process.exitcode or 0, out.read_text(), err.read_text())


def _run(environment: dict[str, str], folder: Path, out: Path, err: Path, arguments: tuple[str, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    sys.argv = ["cypher", *arguments]
    runpy.run_module("cypher", run_name="__main__", alter_sys=True)
