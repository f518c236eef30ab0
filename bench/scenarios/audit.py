"""Entries into the audit trail from two instances at once, beside the same rows, sealed before, by batched INSERT.

What it writes are entries like any other, and stay in the trail.
"""

import asyncio
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bench.audit_instance import Shape
from bench.harness import Scenario, Target, Work
from bench.processes import cpu_of
from cypher.app import Resources

INSTANCES = 2
MOST = Target(ratio=1 / 0.7)
SHAPES = {
    Shape(writers=32, transactions=8, entries=2): "64 writers, 2 each",
    Shape(writers=2, transactions=4, entries=250): "flushes of 250",
}


async def scenarios(open_: Resources) -> AsyncIterator[Scenario]:
    """Yield the scenario while the two instances are there."""
    # Of both together, fewer than the server has.
    postgres = replace(open_.config.postgres, pool_max=32)
    instances = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.audit_instance", stdin=PIPE, stdout=PIPE)
        for _ in range(INSTANCES)
    ]
    try:
        for instance in instances:
            _say(instance, pickle.dumps(replace(open_.config, postgres=postgres)).hex())
        for shape, what in SHAPES.items():
            yield Scenario(
                name=f"audit entries, {what}",
                prepare=_on_all(instances, "prepare", shape),
                work=_on_all(instances, "write", shape),
                floor=_on_all(instances, "insert", shape),
                floor_name="INSERT of the same rows",
                size=shape.size * INSTANCES,
                cpu=lambda: sum(cpu_of(instance.pid) for instance in instances),
                target=MOST,
            )
    finally:
        for instance in instances:
            _say(instance, "")
            await instance.wait()


def _on_all(instances: Sequence[Process], word: str, shape: Shape) -> Work:
    command = f"{word} {shape.writers} {shape.transactions} {shape.entries}"

    async def one(instance: Process) -> None:
        _say(instance, command)
        assert instance.stdout is not None
        assert await instance.stdout.readline() == b"done\n"

    async def all_of_them() -> None:
        await asyncio.gather(*(one(instance) for instance in instances))

    return all_of_them


def _say(instance: Process, word: str) -> None:
    assert instance.stdin is not None
    instance.stdin.write(f"{word}\n".encode())
