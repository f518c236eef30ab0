"""Lets one fault happen under traffic and says what came of it."""

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp

from tests.contract import watched_client
from tests.faults.afterwards import ask_afterwards
from tests.faults.books import Books, Invariant, Phase, Seen, counts, hardly_any_failed
from tests.faults.fault import Fault
from tests.faults.in_the_clear import look_for_secrets
from tests.faults.records import look_at_records
from tests.faults.second_factor import Guarded
from tests.faults.traffic import ROUTES, Traffic
from tests.faults.world import OwnServers, World

PEOPLE = 3
#: Seconds for which all must have gone well before it has recovered, and everything that people do must have been done.
QUIET = 1.5
#: What recovers later than this does not recover by itself.
RECOVERY_SECONDS = 20.0
START_SECONDS = 30.0
#: Within which every request ends.
DEADLINE_SECONDS = 5.0
CLIENT_SECONDS = 20.0
#: What the log says of errors that met the last net, or none.
UNEXPECTED = ("unexpected", "Traceback", "never retrieved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one fault did."""

    name: str
    lasted: float
    recovered: float  #: seconds from its end until the last request that failed had ended
    good: int
    refused: int  #: 4xx
    unavailable: int  #: 503
    other: int
    slowest: float
    ready: str  #: what `/health/ready` said most of the time
    broken: list[tuple[Invariant, str]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.good + self.refused + self.unavailable + self.other


async def run(kind: type[Fault], servers: OwnServers) -> Outcome:
    """Start a service, let the fault happen to it, and check everything."""
    timeout = aiohttp.ClientTimeout(total=CLIENT_SECONDS)
    async with kind.place(servers) as around, watched_client(timeout=timeout) as http:
        traffic = Traffic(http, around.urls, Books())
        fault = kind(around, traffic)
        outcome = await _happen(fault, traffic)
        _judge(fault, traffic.books)
        await _end(around, traffic.books)
        await look_at_records(around, traffic.books)
        look_for_secrets(around, traffic.books)
    return outcome


async def _happen(fault: Fault, traffic: Traffic) -> Outcome:
    books, guarded = traffic.books, Guarded(traffic)
    await guarded.enrol()
    async with traffic.flowing(PEOPLE, guarded.live()):
        await _quiet(books, time.monotonic(), START_SECONDS)
        books.phase = Phase.DURING
        began = time.monotonic()
        await fault.begin()
        await asyncio.sleep(fault.seconds)
        await fault.end()
        over = time.monotonic()
        books.phase = Phase.AFTER
        recovered = await _quiet(books, over, RECOVERY_SECONDS)
        if await fault.come_back():
            await _quiet(books, time.monotonic(), RECOVERY_SECONDS)
    seen = books.of(Phase.DURING, Phase.AFTER)
    good, refused, unavailable, other = counts(seen)
    books.phase = Phase.AFTERWARDS
    await ask_afterwards(traffic, guarded)
    return Outcome(
        name=fault.name,
        lasted=over - began,
        recovered=recovered,
        good=good,
        refused=refused,
        unavailable=unavailable,
        other=other,
        slowest=max(each.seconds for each in seen),
        ready=books.health[Phase.DURING].most_common(1)[0][0],
        broken=books.broken,
    )


async def _quiet(books: Books, since: float, patience: float) -> float:
    """Wait until everything works and next to nothing fails; returns how long after `since` that began."""
    while True:
        now = time.monotonic()
        last = max(
            (each.ended for each in books.seen if each.failed and since < each.ended < now - QUIET), default=since
        )
        lately = [each for each in books.seen if each.ended > last]
        if now > last + QUIET and hardly_any_failed(lately) and _everything_works(lately):
            return last - since
        if now > since + patience:
            books.breaks(Invariant.RECOVERS, f"after {patience:.0f} s requests still fail")
            return now - since
        await asyncio.sleep(0.05)


def _everything_works(seen: list[Seen]) -> bool:
    return {each.route for each in seen if 200 <= each.status < 300} >= set(ROUTES)


def _judge(fault: Fault, books: Books) -> None:
    """Judge what holds for all requests together."""
    if not fault.cuts_clients and (cut := sum(each.status == 0 for each in books.seen)):
        books.breaks(Invariant.ANSWERS, f"{cut} requests were not answered")
    for each in books.seen:
        if each.seconds > DEADLINE_SECONDS + books.stood_still:
            books.breaks(Invariant.IN_TIME, f"{each.route} took {each.seconds:.2f} s")
    for surprise in fault.surprises(books):
        books.breaks(Invariant.AS_SAID, surprise)


async def _end(around: World, books: Books) -> None:
    for status in await asyncio.gather(*(service.stop() for service in around.services)):
        if status:
            books.breaks(Invariant.RECOVERS, f"an instance has ended with status {status}")
    lines = (line for service in around.services for line in service.log.read_text().splitlines())
    told = [line for line in lines if any(word in line for word in UNEXPECTED)]
    if told:
        books.breaks(Invariant.ANSWERS, f"{len(told)} lines of the log tell of what nobody expected: {told[0]}")
