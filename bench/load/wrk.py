"""wrk (https://github.com/wg/wrk), a client in C: it takes less of a small machine from the service than ours does.

Its latencies are corrected for coordinated omission: where an answer kept a connection waiting, those that would have
been asked for meanwhile count as well.
"""

import asyncio
import math
import shutil
import subprocess
from pathlib import Path

from bench.load.jobs import Job, Outcome

SCRIPT = Path(__file__).with_suffix(".lua")
MICROSECOND = 1e-6


def path() -> str | None:
    """Return where wrk is installed."""
    return shutil.which("wrk")


def version() -> str | None:
    """Return what it says it is."""
    program = path()
    if program is None:
        return None
    # It says so together with how it is to be called, and fails.
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return " ".join((said.stdout + said.stderr).split()[:2])


async def perform(program: str, job: Job, folder: Path) -> Outcome:
    """Do a job that goes on for some seconds, of which wrk takes whole ones."""
    assert job.seconds
    requests = folder / "requests"
    requests.write_bytes(b"\0".join(job.requests))
    process = await asyncio.create_subprocess_exec(
        program,
        *("--threads", "1", "--connections", str(job.at_once), "--duration", f"{math.ceil(job.seconds)}s"),
        *("--script", str(SCRIPT), f"http://127.0.0.1:{job.port}", "--", str(requests)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return read(said.decode())


def read(said: str) -> Outcome:
    """Read what wrk.lua says after wrk's own lines."""
    operations, duration, failed, *latencies = map(float, said.partition("numbers\n")[2].split())
    return Outcome(
        operations=int(operations),
        seconds=duration * MICROSECOND,
        latencies=[latency * MICROSECOND for latency in latencies],
        problem=f"{failed:.0f} of {operations:.0f} requests of wrk failed" if failed else None,
    )
