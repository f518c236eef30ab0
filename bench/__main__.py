"""`python -m bench`: start what is needed, measure, print. `--json FILE` keeps the numbers."""

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench.harness import Result, measure
from bench.scenarios import codec, http, reencryption
from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import Config, load
from cypher.config.limits import LimitsConfig
from cypher.embedded import complete
from cypher.migrate import migrate
from cypher.serving import running

#: A narrower table breaks the names of its scenarios.
WIDTH = 120


async def run(config: Config, duration: float) -> list[Result]:
    """Measure every scenario for `duration` seconds on a service of its own."""
    async with running(config, SystemClock(), port=0) as listeners, resources(config, SystemClock()) as open_:
        results = [await measure(scenario, duration=duration) async for scenario in codec.scenarios(open_)]
        results += [await measure(scenario, duration=duration) async for scenario in reencryption.scenarios(open_)]
        async for scenario in http.scenarios(f"http://127.0.0.1:{listeners.public.port}"):
            results.append(await measure(scenario, duration=duration))
    return results


def show(results: list[Result]) -> None:
    table = Table("scenario", "per second", "p50 µs", "p95 µs", "p99 µs", "floor", "cost in floors", "spread")
    for result in results:
        ratios = sorted(result.ratios)
        points = (f"{result.percentile(share) * 1e6:.0f}" for share in (0.5, 0.95, 0.99))
        middle = ratios[len(ratios) // 2]
        spread = f"{ratios[len(ratios) // 10]:.2f} to {ratios[-len(ratios) // 10]:.2f}"
        name, floor = result.scenario.name, result.scenario.floor_name
        table.add_row(name, f"{result.per_second:,.0f}", *points, floor, f"{middle:.2f}", spread)
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)


def write(results: list[Result], file: Path) -> None:
    rows = [
        {"name": r.scenario.name, "floor": r.scenario.floor_name, "seconds": r.seconds, "ratios": r.ratios}
        for r in results
    ]
    file.write_text(json.dumps({"machine": platform.platform(), "python": platform.python_version(), "results": rows}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds for each scenario")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    arguments = parser.parse_args()
    config, embedded = complete(load(os.environ, Path(".env")))
    # A sixth run within an hour could not register its person.
    config = replace(config, limits=LimitsConfig())
    try:
        migrate(config.postgres)
        results = uvloop.run(run(config, arguments.duration))
    finally:
        if embedded:
            embedded.stop()
    show(results)
    if arguments.json:
        write(results, arguments.json)


main()
