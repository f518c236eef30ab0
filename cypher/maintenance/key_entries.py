"""Completes the trail where whoever made a key died before recording it: the key store is in no transaction with it."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from cypher.auth.audit import Audit, Details, Happening
from cypher.auth.events import Event, key_event
from cypher.clock import Clock
from cypher.crypto.keyring import KeyInfo, KeyRing, Purpose, State
from cypher.crypto.rotation import BY_HAND
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.trail import Spot, TrailFilter

#: Whoever makes a key records it within this, or not at all.
GRACE_SECONDS = 60.0
#: Keys that came before this are taken to be recorded: somebody has looked since.
HORIZON = timedelta(days=7)
#: More entries about keys than a week brings.
MOST = 10_000


class KeyEntries:
    """Looks once for each state of the key store, a minute after it was met here."""

    def __init__(self, *, db: Database[Repositories], ring: KeyRing, audit: Audit, clock: Clock) -> None:
        self._db = db
        self._ring = ring
        self._audit = audit
        self._clock = clock
        self._met = 0
        self._met_at = 0.0
        self._completed = 0

    async def complete(self) -> None:
        """Record what is missing; of several processes one does."""
        generation, now = self._ring.generation, self._clock.monotonic()
        if generation != self._met:
            self._met, self._met_at = generation, now
        if generation == self._completed or now - self._met_at < GRACE_SECONDS:
            return
        came = list(_came(self._ring.get_key_info(), self._clock.now() - HORIZON))
        if came and not await self._record_missing(came):
            return
        self._completed = generation

    async def _record_missing(self, came: list[tuple[Event, KeyInfo]]) -> bool:
        """Return False where somebody else is doing it."""
        async with self._db.transaction() as repos:
            if not await repos.deployment.try_key_entries():
                return False
            since = min(key.created_at for _, key in came)
            recorded = {event: await _recorded(repos, event, since) for event in {event for event, _ in came}}
            missing = [
                Happening(event=event, note=key.id, by_itself=True)
                for event, key in came
                if key.id not in recorded[event]
            ]
            if missing:
                await self._audit.record_all(repos, missing, None)
        return True


def _came(keys: tuple[KeyInfo, ...], after: datetime) -> Iterator[tuple[Event, KeyInfo]]:
    """Yield the keys that took the place of others, or are about to, and what that is called; oldest first."""
    seen: set[Purpose] = set()
    for key in keys:
        state = State.ACTIVE if key.state is State.DECRYPT_ONLY and key.activated_at else key.state
        at = key.created_at if state is State.PENDING else key.activated_at
        # The first of each purpose was made with the store, and others came with people from elsewhere.
        if key.purpose in seen & BY_HAND and state in (State.ACTIVE, State.PENDING) and at and at > after:
            yield key_event(key.purpose, state), key
        seen.add(key.purpose)


async def _recorded(repos: Repositories, event: Event, since: datetime) -> set[str | None]:
    """Return the ids of the keys of which the trail says this; an entry that does not open says nothing."""
    recorded = set()
    for entry in await repos.trail.list_newest(TrailFilter(action=event, since=since), Spot(), MOST):
        with suppress(FieldDoesNotOpen):
            details = await repos.trail.open_details(entry, {})
            recorded.add(msgspec.json.decode(details, type=Details).note)
    return recorded
