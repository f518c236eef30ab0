"""`python -m bench`: start what is needed, measure, show, keep, compare."""

import argparse
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import uvloop
from redis import Redis
from rich.console import Console

from bench import compare, machine, report, results, suite, tables
from bench.results import Document, Measured
from bench.servers import Servers, connected, started
from bench.stands import SIZES, stands
from bench.suite import Choice
from cypher.errors import CypherError

REGRESSED, REFUSED, INTERRUPTED = 1, 2, 130
NO_PEER = (
    "The rate limiter was not compared with `limits`, which is not installed: pip install -c constraints.txt limits"
)


def main() -> None:
    """Run a command; what is wrong with it is one sentence."""
    arguments = parser().parse_args()
    try:
        document = results.read(arguments.read) if arguments.read else measure(arguments)
        sys.exit(tell(document, arguments))
    except CypherError as exc:
        print(f"bench: {exc or exc.message()}", file=sys.stderr)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join(group.name for group in suite.GROUPS)
    add = made.add_argument
    add("--scenario", action="append", default=[], metavar="NAME[:PART]", help=f"only this one, of {names}; repeatable")
    add("--duration", type=float, default=2.0, help="seconds for each scenario and its floor (2)")
    add("--rounds", type=int, help="at least so many rounds, instead of what each scenario has")
    add("--concurrency", type=numbers, default=(1, 16, 64), help="requests under way at once over HTTP (1,16,64)")
    add("--scale", type=int, default=SIZES[1], help=f"rows of the largest database ({SIZES[1]}); up to {SIZES[-1]}")
    add("--json", type=Path, metavar="FILE", help="keep every number in this file")
    add("--report", type=Path, metavar="FILE", help="write a page with plots, which needs nothing else")
    add("--markdown", type=Path, metavar="PAGE", help="put the tables between the marks of this page")
    add("--compare", type=Path, metavar="FILE", help="mark what costs more floors than in this earlier run, and fail")
    add("--threshold", type=float, default=compare.THRESHOLD, help=f"how much more ({compare.THRESHOLD})")
    add("--read", type=Path, metavar="FILE", help="show this earlier run instead of measuring")
    return made


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def measure(arguments: argparse.Namespace) -> Document:
    """Measure what is asked for on servers of this run."""
    choice = Choice(names=arguments.scenario, duration=arguments.duration, rounds=arguments.rounds)
    choice.check()
    with tempfile.TemporaryDirectory(prefix="cypher-bench-") as folder, started(Path(folder), os.environ) as servers:
        measured, notes = uvloop.run(_run(servers, arguments, choice))
        return Document(
            setting=machine.setting(_command(), server_versions(servers)),
            notes=notes if find_spec("limits") else [*notes, NO_PEER],
            results=measured,
        )


async def _run(servers: Servers, arguments: argparse.Namespace, choice: Choice) -> tuple[list[Measured], list[str]]:
    async with stands(servers, scale=arguments.scale, concurrency=arguments.concurrency) as made:
        return await suite.run(made, choice)


def server_versions(servers: Servers) -> list[str]:
    """Ask both servers what they are."""
    redis = servers.config.redis
    assert redis.url
    with connected(servers.config.postgres, database="postgres") as connection:
        postgres = connection.info.server_version // 10_000
    with Redis.from_url(redis.url, password=redis.password.reveal() if redis.password else None) as client:
        about = client.info("server")
    valkey = about.get("valkey_version")
    return [f"PostgreSQL {postgres}", f"Valkey {valkey}" if valkey else f"Redis {about['redis_version']}"]


def tell(document: Document, arguments: argparse.Namespace) -> int:
    """Show a run, keep it where that is asked for, and return the exit status."""
    console = Console()
    console.width = max(console.width, tables.WIDTH)
    tables.show(document, console)
    if arguments.json:
        results.write(document, arguments.json)
    if arguments.report:
        report.write(document, arguments.report)
    if arguments.markdown:
        tables.put_into(arguments.markdown, tables.markdown(document))
    if not arguments.compare:
        return 0
    differences = compare.compare(document, results.read(arguments.compare), arguments.threshold)
    tables.show_differences(differences, console)
    found = compare.regressions(differences)
    console.print(f"{len(found)} regressions: more than {arguments.threshold:.0%} above {arguments.compare}.")
    return REGRESSED if found else 0


def _command() -> str:
    return " ".join(["python -m bench", *sys.argv[1:]])
