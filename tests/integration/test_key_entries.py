"""Who makes a key and dies before recording it is made up for; nothing is recorded twice."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from cypher.auth.audit import Audit, Details
from cypher.auth.events import Event
from cypher.clock import SystemClock
from cypher.config import PostgresConfig
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.rotation import rotate
from cypher.maintenance.key_entries import GRACE_SECONDS, KeyEntries
from cypher.maintenance.key_keeping import KeyKeeper
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.trail import Spot, TrailFilter
from tests.factories import as_owner

Recorded = Callable[[Event], Awaitable[list[str | None]]]


class MovedClock(SystemClock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def make_entries(db: Database[Repositories], ring: KeyRing, clock: MovedClock) -> Callable[[], KeyEntries]:
    return lambda: KeyEntries(db=db, ring=ring, audit=Audit(clock, BlindIndex(ring)), clock=clock)


@pytest.fixture
def recorded(db: Database[Repositories]) -> Recorded:
    async def recorded(event: Event) -> list[str | None]:
        async with db.connection() as repos:
            entries = await repos.trail.list_newest(TrailFilter(action=event), Spot(), 100)
            opened = [await repos.trail.open_details(entry, {}) for entry in entries]
            return [msgspec.json.decode(details, type=Details).note for details in opened]

    return recorded


async def test_what_nobody_has_recorded_is_after_a_minute_and_once(
    ring: KeyRing, clock: MovedClock, make_entries: Callable[[], KeyEntries], recorded: Recorded
) -> None:
    lost, signing = rotate(ring, Purpose.DATA), rotate(ring, Purpose.SIGNING)
    assert lost
    assert signing
    processes = [make_entries() for _ in range(4)]
    for ahead in (0.0, GRACE_SECONDS - 1):
        clock.ahead = ahead
        await asyncio.gather(*(each.complete() for each in processes))
        assert await recorded(Event.KEY_ROTATED) == []
    clock.ahead = GRACE_SECONDS
    for _ in range(2):
        await asyncio.gather(*(each.complete() for each in processes))
    assert await recorded(Event.KEY_ROTATED) == [lost.id]
    assert await recorded(Event.SIGNING_KEY_PREPARED) == [signing.id]


async def test_what_was_recorded_and_what_a_new_store_begins_with_is_left_alone(
    ring: KeyRing,
    clock: MovedClock,
    keeper: KeyKeeper,
    leases,
    make_entries: Callable[[], KeyEntries],
    recorded: Recorded,
) -> None:
    made = rotate(ring, Purpose.DATA)
    assert made
    leases.made.append(made)
    await keeper.note()
    entries = make_entries()
    await entries.complete()
    clock.ahead = GRACE_SECONDS
    await entries.complete()
    assert await recorded(Event.KEY_ROTATED) == [made.id]
    assert await recorded(Event.SIGNING_KEY_ROTATED) == []


async def test_keys_that_were_replaced_since_are_made_up_for_as_well(
    ring: KeyRing, clock: MovedClock, make_entries: Callable[[], KeyEntries], recorded: Recorded
) -> None:
    both = [rotate(ring, Purpose.CACHE) for _ in range(2)]
    entries = make_entries()
    await entries.complete()
    clock.ahead = GRACE_SECONDS
    await entries.complete()
    assert sorted(await recorded(Event.KEY_ROTATED)) == sorted(key.id for key in both if key)


async def test_an_entry_that_does_not_open_stops_nobody(
    ring: KeyRing,
    clock: MovedClock,
    keeper: KeyKeeper,
    leases,
    make_entries: Callable[[], KeyEntries],
    postgres_config: PostgresConfig,
    db: Database[Repositories],
) -> None:
    made = rotate(ring, Purpose.DATA)
    assert made
    leases.made.append(made)
    await keeper.note()
    as_owner(postgres_config, "UPDATE audit_logs SET details = 'spoilt'")
    entries = make_entries()
    await entries.complete()
    clock.ahead = GRACE_SECONDS
    await entries.complete()
    async with db.connection() as repos:
        assert len(await repos.trail.list_newest(TrailFilter(action=Event.KEY_ROTATED), Spot(), 100)) == 2
