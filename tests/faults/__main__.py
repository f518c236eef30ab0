"""`python -m tests.faults`: let every fault happen to servers of its own, and print what came of it.

`--markdown PAGE` puts the table between the marks of a page; names are those of the classes.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.machine import setting
from bench.tables import put_into
from tests.faults import table
from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault
from tests.faults.runner import Outcome, run
from tests.faults.world import OwnServers

FAILED = 1


def main() -> int:
    made = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help=", ".join(kind.__name__ for kind in FAULTS))
    made.add_argument("--markdown", type=Path, metavar="PAGE", help="put the table between the marks of this page")
    arguments = made.parse_args()
    kinds = [kind for kind in FAULTS if kind.__name__ in arguments.names or not arguments.names]
    with OwnServers.start() as servers:
        versions = servers.versions()
        outcomes = asyncio.run(_each(kinds, servers))
    table.show(outcomes, Console())
    if arguments.markdown:
        about = setting(" ".join(["python -m tests.faults", *sys.argv[1:]]), versions)
        put_into(arguments.markdown, table.markdown(outcomes, about))
    return FAILED if any(outcome.broken for outcome in outcomes) else 0


async def _each(kinds: list[type[Fault]], servers: OwnServers) -> list[Outcome]:
    outcomes = []
    for kind in kinds:
        try:
            outcomes.append(await run(kind, servers))
        except pytest.skip.Exception as missing:
            print(f"{kind.name}: {missing}", file=sys.stderr)
            continue
        print(" | ".join(table.cells(outcomes[-1])), file=sys.stderr, flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
