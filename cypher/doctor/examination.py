"""Runs every check, each within its own time, whatever has become of the others.

A check is an async generator in one of MODULES whose name begins with `check_`: it yields what it finds, and its
docstring is the sentence that stands there when it finds nothing. To add one is to write that function.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import cast

import msgspec

from cypher.doctor.checks import certificates, keys, listeners, postgres, redis, settings, trail
from cypher.doctor.findings import Away, Found, Level, Line
from cypher.doctor.patient import Patient
from cypher.errors import CypherError
from cypher.postgres_errors import QueryFailed

Check = Callable[[Patient], Found]

MODULES: tuple[ModuleType, ...] = (settings, listeners, postgres, redis, certificates, keys, trail)
PREFIX = "check_"
SECONDS = 20.0
#: This one reads whole tables.
LONGER = {"key_references": 120.0}
WORST_FIRST = (Level.PROBLEM, Level.WARNING)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `cypher doctor --json` prints."""

    level: Level  #: the worst that was found; `ok` when nothing was
    checks: tuple[Line, ...]


async def examine(patient: Patient, tell: Callable[[Line], None] = lambda line: None) -> Report:
    """Look at everything; `tell` gets each line as soon as it is known."""
    lines = []
    async for line in _lines(patient):
        tell(line)
        lines.append(line)
    levels = {line.level for line in lines}
    return Report(level=next((level for level in WORST_FIRST if level in levels), Level.OK), checks=tuple(lines))


def checks() -> Iterator[tuple[str, Check]]:
    """Yield every check with its name, in the order in which they stand."""
    for module in MODULES:
        for name, value in vars(module).items():
            if name.startswith(PREFIX):
                yield name.removeprefix(PREFIX), cast(Check, value)


async def _lines(patient: Patient) -> AsyncIterator[Line]:
    for name, check in checks():
        # Not awaited but gathered: whatever is raised inside is an answer here.
        [answer] = await asyncio.gather(_found(name, check, patient), return_exceptions=True)
        if isinstance(answer, BaseException):
            yield _failed(name, answer)
            continue
        for line in answer:
            yield line


async def _found(name: str, check: Check, patient: Patient) -> list[Line]:
    async with asyncio.timeout(LONGER.get(name, SECONDS)):
        found = [Line(check=name, level=finding.level, text=finding.text) async for finding in check(patient)]
    return found or [Line(check=name, level=Level.OK, text=(check.__doc__ or "").strip().splitlines()[0])]


def _failed(name: str, error: BaseException) -> Line:
    """Return the line of a check that came to no end."""
    if isinstance(error, Away):
        return Line(check=name, level=Level.SKIPPED, text=f"Needs {error.what}, which could not be opened.")
    if isinstance(error, TimeoutError):
        text = "This did not end in time: look again when the servers are less busy."
        return Line(check=name, level=Level.WARNING, text=text)
    if isinstance(error, QueryFailed):
        text = f"PostgreSQL refuses a query ({error}): run `cypher migrate`, if the schema is not what it should be."
    elif isinstance(error, CypherError):
        text = str(error) or error.message()
    elif isinstance(error, Exception):
        # Its text may hold anything.
        text = f"This check has failed itself ({type(error).__name__}): please report it."
    else:
        raise error
    return Line(check=name, level=Level.PROBLEM, text=text)
