"""Runs pg_dump and pg_restore, and follows how far they are."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cypher.backup.places import CHUNK, new_file
from cypher.backup.programs import Program, complaint, environment_of
from cypher.config import PostgresConfig
from cypher.errors import OperatorError

#: What a dump leaves out: the epoch, so that a database which was brought back is not served as it is, and the keys of
#: KEY_STORE=postgres, which are the other half of the backup.
LEFT_OUT = ("deployment", "key_store", "encryption_keys")
#: Of what a program says, so much is looked at for its complaint.
MOST_SAID = 64 * 1024

Report = Callable[[int], None]


async def dump(program: Program, postgres: PostgresConfig, snapshot: str, file: Path, report: Report) -> None:
    """Write the database as it is in a snapshot to a new file, durably; `report` gets the number of tables begun.

    Raises OperatorError with what pg_dump complains of.
    """
    options = [f"--exclude-table-data=public.{table}" for table in LEFT_OUT]
    options += ["--format=custom", "--no-publications", "--no-subscriptions", "--no-password", "--verbose"]
    output, begun, said = new_file(file), 0, b""
    try:
        async with _running(program, [*options, f"--snapshot={snapshot}"], postgres, stdout=output) as process:
            async for line in _stderr(process):
                begun += b"dumping contents of table" in line
                said = (said + line)[-MOST_SAID:]
                report(begun)
            if await process.wait():
                raise OperatorError(f"pg_dump has failed: {program.failure(said)}")
        await asyncio.to_thread(os.fsync, output)
    finally:
        os.close(output)


def require_readable(program: Program, file: Path) -> None:
    """Refuse a dump of which pg_restore cannot read what is in it."""
    listed = subprocess.run(  # noqa: S603
        [program.path, "--list", str(file)], capture_output=True, check=False, env={"PATH": os.defpath, "LC_ALL": "C"}
    )
    if listed.returncode or b"TABLE DATA public users" not in listed.stdout:
        raise OperatorError(f"{file} is no dump of a database of Cypher's: {complaint(listed.stderr)}")


async def bring_back(program: Program, postgres: PostgresConfig, file: Path, sha256: str, report: Report) -> None:
    """Bring a dump back into an empty database: all of it, or nothing. `report` gets the bytes read.

    The program is fed from here: when this process is killed it meets an end too early, and PostgreSQL keeps nothing.
    Raises OperatorError with what pg_restore complains of, and for a file that has not this hash any more.
    """
    options = ["--format=custom", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    arguments = [*options, "--no-password", f"--dbname={_conninfo(postgres.database)}"]
    async with _running(program, arguments, postgres, stdin=subprocess.PIPE) as process:
        listening = asyncio.create_task(_stderr(process).read())
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended, and says why
            await _feed(process, file, sha256, report)
        said = await listening
        if await process.wait():
            raise OperatorError(f"pg_restore has failed, and the database is as it was: {program.failure(said)}")


async def _feed(process: asyncio.subprocess.Process, file: Path, sha256: str, report: Report) -> None:
    """Feed a file, the end of it only when all of it was seen to be what was verified."""
    if process.stdin is None:
        raise RuntimeError("the program was started without a pipe")
    digest, done, held_back = hashlib.sha256(), 0, b""
    with file.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK):
            process.stdin.write(held_back)
            await process.stdin.drain()
            digest.update(chunk)
            done, held_back = done + len(chunk), chunk
            report(done)
    if digest.hexdigest() != sha256:
        raise OperatorError(f"{file} was changed after it was verified. The database is as it was.")
    process.stdin.write(held_back)
    process.stdin.close()
    await process.stdin.wait_closed()


@asynccontextmanager
async def _running(
    program: Program,
    arguments: list[str],
    postgres: PostgresConfig,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        str(program.path), *arguments, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=environment_of(postgres)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _stderr(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stderr is None:
        raise RuntimeError("the program was started without a pipe")
    return process.stderr


def _conninfo(database: str) -> str:
    """Return a database's name as libpq takes it, whatever is in it."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
