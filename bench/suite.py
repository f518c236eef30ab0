"""THE table of what is measured, and one run through it."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import cast

from bench.harness import Scenario, measure
from bench.results import Measured, measured
from bench.scenarios import (
    audit,
    cache,
    codec,
    frame,
    growth,
    importing,
    limiter,
    login,
    loop,
    reencryption,
    repository,
    sealing,
    session,
    startup,
    tokens,
    trail,
)
from bench.stands import SMALL, Stands
from cypher.app import Resources
from cypher.errors import CypherError, OperatorError

#: Of re-encryption, where the largest databases are measured as well: it takes minutes.
MANY_VALUES = 100_000

Scenarios = Callable[[Stands], AsyncIterator[Scenario]]


@dataclass(frozen=True, slots=True)
class Group:
    """Scenarios that share a state, which is stated."""

    name: str
    state: str
    scenarios: Scenarios


def over_resources(scenarios: Callable[[Resources], AsyncIterator[Scenario]]) -> Scenarios:
    """Take scenarios that need only what a service has open, on a database without people."""

    async def over(stands: Stands) -> AsyncIterator[Scenario]:
        async for scenario in scenarios((await stands.empty()).open_):
            yield scenario

    return over


def _reencryption(stands: Stands) -> AsyncIterator[Scenario]:
    values = MANY_VALUES if stands.scale > MANY_VALUES else reencryption.VALUES
    return over_resources(partial(reencryption.scenarios, values=values))(stands)


PEOPLE = f"{SMALL:,} people with a session each"
GROUPS = (
    Group("codec", "a key ring of its own, values under each of its keys, uses counted in PostgreSQL", codec.scenarios),
    Group("repository", "people with a session each; one query at a time", repository.scenarios),
    Group("cache", f"{PEOPLE}, in Redis", cache.scenarios),
    Group("limiter", "64 hits under way at any moment", limiter.scenarios),
    Group("frame", "no state", frame.scenarios),
    Group("session", f"{PEOPLE}, each asked for in turn with its own token", session.scenarios),
    Group("login", "64 logins in a round: all starts, then all proofs (not measured), then all ends", login.scenarios),
    Group("tokens", f"{PEOPLE}; in a round 64 of each", tokens.scenarios),
    Group("loop", "/health/live, asked every few milliseconds", loop.scenarios),
    Group("audit", "two instances that write at once", over_resources(audit.scenarios)),
    Group("sealing", "a trail of its own; in a round 5,000 entries more, 50 in a transaction", sealing.scenarios),
    Group("trail", "one person, the client's share of a login included", over_resources(trail.scenarios)),
    Group("reencryption", "values of one session under the key before; nothing else in the database", _reencryption),
    Group(
        "importing",
        "nobody else in the database; five hundred people in a transaction",
        over_resources(importing.scenarios),
    ),
    Group("startup", "processes and databases made anew each time", startup.scenarios),
    Group("growth", f"the same with so many people, sessions and tokens as with {SMALL:,}", growth.scenarios),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be measured, and for how long."""

    names: Sequence[str]  #: `group` or `group:part of a scenario's name`; none: all
    duration: float
    rounds: int | None

    def check(self) -> None:
        """Raise OperatorError for a group that is not there."""
        known = [group.name for group in GROUPS]
        for name in self.names:
            if name.partition(":")[0] not in known:
                raise OperatorError(f"There is no scenario {name}, but there are: {', '.join(known)}.")

    def groups(self) -> Iterator[tuple[Group, list[str]]]:
        """Yield the groups, each with the parts of names that are asked for."""
        asked = [name.partition(":")[::2] for name in self.names]
        for group in GROUPS:
            parts = [part for name, part in asked if name == group.name]
            if parts or not asked:
                yield group, parts or [""]


async def run(stands: Stands, choice: Choice) -> tuple[list[Measured], list[str]]:
    """Measure one scenario after another, and say which; returns also what could not be measured, and why."""
    results: list[Measured] = []
    notes: list[str] = []
    for group, parts in choice.groups():
        try:
            async for result in _measured(stands, group, parts, choice):
                results.append(result)
        except CypherError as exc:
            # One group: the others have been measured, or will be.
            notes.append(f"Of {group.name} not all was measured. {exc or exc.message()}")
            print(notes[-1], file=sys.stderr, flush=True)
    return results, notes


async def _measured(stands: Stands, group: Group, parts: list[str], choice: Choice) -> AsyncIterator[Measured]:
    # A generator, whatever it says: what it has started must end with it.
    async with aclosing(cast(AsyncGenerator[Scenario, None], group.scenarios(stands))) as scenarios:
        async for scenario in scenarios:
            if any(part in scenario.name for part in parts):
                print(f"{group.name}: {scenario.name}", file=sys.stderr, flush=True)
                result = await measure(scenario, duration=choice.duration, rounds=choice.rounds)
                yield measured(group.name, group.state, result)
