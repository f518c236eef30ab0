"""Proves the audit trail, or names the first place at which it does not hold. Reads it once, some seals at a time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from cypher.clock import Clock, moment_of, month_after
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.sealing import Leaf, Statement
from cypher.crypto.signing import public_bytes
from cypher.maintenance.checkpoints import Checkpoint
from cypher.maintenance.seal_chain import Attack, Finding, Positioned, SealChain, find_foreign_root, find_gap, of_entry
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.audit_seals import Seal
from cypher.repositories.trail import Entries, Spot, StoredEntry

#: Entries that are looked at together, and seals.
PAGE = 1000
#: Entries that are read together: some 2 ms to make them of rows.
READ = 250
#: After this many, about a millisecond, the requests of the same process have their turn.
SLICE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A month of one class that retention has let go of; its leaves were checked all the same."""

    retention: str
    month: str  #: as 2026_11
    entries: int


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and how much was looked at."""

    finding: Finding | None = None
    seals: int = 0
    entries: int = 0  #: sealed ones that are there
    removed: tuple[Removed, ...] = ()
    unsealed: int = 0  #: entries that the next seal will be about
    oldest_unsealed: datetime | None = None
    checkpoint_no: int | None = None  #: the newest seal that a checkpoint vouches for


class Verification:
    """One run. `keep` says for how many days each class is kept."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        ring: KeyRing,
        clock: Clock,
        keep: Mapping[str, int],
        checkpoints: Iterable[Checkpoint] = (),
    ) -> None:
        self._db = db
        self._clock = clock
        self._keep = keep
        keys = {key.id: public_bytes(key) for key in ring.live(Purpose.AUDIT)}
        self._chain = SealChain(keys, checkpoints)
        self._done = Verified()
        self._removed: Counter[tuple[str, str]] = Counter()
        self._months: set[tuple[str, str]] = set()
        self._after = 0

    async def run(self, report: Callable[[int], None] = lambda done: None) -> Verified:
        """Look at everything, up to the first finding; `report` gets the number of entries done."""
        finding = await self._walk(report) or self._chain.finish() or await self._look_beside_the_seals()
        removed = (Removed(retention=kind, month=month, entries=n) for (kind, month), n in self._removed.items())
        return replace(
            self._done,
            finding=finding,
            removed=tuple(sorted(removed, key=lambda each: (each.month, each.retention))),
            checkpoint_no=self._chain.checkpoint_no,
        )

    async def run_newest(self, seals: int) -> Verified:
        """Look at the newest seals only, and at the entries under them: quick, and no proof of what is before them."""
        async with self._db.connection() as repos:
            last = await repos.audit_seals.get_last_seal()
            self._after = max(0, last.seal.statement.seal_no - seals) if last else 0
            if self._after:
                for seal in await repos.audit_seals.list_seals(self._after - 1, 1):
                    self._chain.begin_after(seal.statement)
        finding = await self._walk(lambda done: None)
        if finding is None:
            async with self._db.connection() as repos:
                finding = await self._find_nothing(repos)
        return replace(self._done, finding=finding)

    # -- what is sealed -------------------------------------------------------------------------------------

    async def _walk(self, report: Callable[[int], None]) -> Finding | None:
        looked_at = 0
        async for seals in self._seals():
            async with self._db.connection() as repos:
                leaves = await repos.audit_seals.list_leaves(seals[0].statement.seal_no, seals[-1].statement.seal_no)
                ids = [leaf.entry_id for positioned in leaves.values() for _, leaf in positioned]
                entries: dict[UUID, StoredEntry] = {}
                for start in range(0, len(ids), READ):
                    entries |= await repos.trail.find_entries(ids[start : start + READ])
                for seal in seals:
                    under = leaves.get(seal.statement.seal_no, ())
                    if finding := await self._look_at(repos, seal, under, entries):
                        return finding
                    looked_at += seal.statement.count
                    report(looked_at)
        return None

    async def _seals(self) -> AsyncIterator[Sequence[Seal]]:
        """Yield the seals in their order, as many at once as have a page of entries between them."""
        after = self._after
        while True:
            async with self._db.connection() as repos:
                found = await repos.audit_seals.list_seals(after, PAGE)
            if not found:
                return
            batch: list[Seal] = []
            for seal in found:
                if batch and sum(each.statement.count for each in batch) + seal.statement.count > PAGE:
                    yield batch
                    batch = []
                batch.append(seal)
            yield batch
            after = found[-1].statement.seal_no

    async def _look_at(self, repos: Repositories, seal: Seal, leaves: Positioned, entries: Entries) -> Finding | None:
        said = seal.statement
        if finding := self._chain.follow(seal) or find_gap(said, leaves):
            return finding
        for number, (position, leaf) in enumerate(leaves, start=1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            entry = entries.get(leaf.entry_id)
            if entry is None:
                if finding := await self._look_for(repos, said, position, leaf):
                    return finding
            elif not repos.trail.is_authentic(entry) or not _is_of(entry, leaf):
                return of_entry(Attack.EDITED, said, position, leaf, "was edited")
            else:
                self._done = replace(self._done, entries=self._done.entries + 1)
        if finding := find_foreign_root(said, leaves):
            return _find_misplaced(said, leaves, entries) or finding
        self._done = replace(self._done, seals=self._done.seals + 1)
        return None

    async def _look_for(self, repos: Repositories, said: Statement, position: int, leaf: Leaf) -> Finding | None:
        """Say what has become of an entry that is not where it was; None where its month was let go of."""
        moment = moment_of(leaf.entry_id)
        month = f"{moment:%Y_%m}"
        if not self._months or (leaf.retention, month) in self._months:
            self._months = await repos.trail.list_months()
        if (leaf.retention, month) in self._months:
            if await repos.trail.find_entries_anywhere([leaf.entry_id]):
                return of_entry(Attack.EDITED, said, position, leaf, "was edited: it has another time")
            return of_entry(Attack.DELETED, said, position, leaf, f"of {moment:%Y-%m-%d %H:%M:%S} UTC was deleted")
        days = self._keep.get(leaf.retention, 0)
        if not days or month_after(moment) + timedelta(days=days) > self._clock.now():
            what = f"was deleted with its whole month {month}, before its {days} days were over"
            return of_entry(Attack.DELETED, said, position, leaf, what)
        self._removed[leaf.retention, month] += 1
        return None

    # -- what is not ----------------------------------------------------------------------------------------

    async def _look_beside_the_seals(self) -> Finding | None:
        after: Spot | None = None
        while True:
            async with self._db.connection() as repos:
                entries = await repos.trail.list_unsealed(after, PAGE)
                for number, entry in enumerate(entries, start=1):
                    if number % SLICE == 0:
                        await asyncio.sleep(0)
                    if not repos.trail.is_authentic(entry):
                        return _forged(entry)
                self._note_unsealed(entries)
                if len(entries) < PAGE:
                    return await self._find_impostor(repos) or await self._find_nothing(repos)
            after = Spot(entries[-1].occurred_at, entries[-1].id)

    def _note_unsealed(self, entries: Sequence[StoredEntry]) -> None:
        if entries:
            oldest = self._done.oldest_unsealed or entries[0].occurred_at
            self._done = replace(self._done, unsealed=self._done.unsealed + len(entries), oldest_unsealed=oldest)

    async def _find_impostor(self, repos: Repositories) -> Finding | None:
        """Find a row under the id of a sealed entry that is not this entry."""
        entry_id = await repos.trail.find_impostor()
        if entry_id is None:
            return None
        sentence = f"A row was put in under the id of the entry {entry_id}, of another time than the id says."
        return Finding(attack=Attack.FORGED, entry_id=entry_id, sentence=sentence)

    async def _find_nothing(self, repos: Repositories) -> Finding | None:
        """Find that there is no trail at all where there must be one: nobody is registered without an entry."""
        if self._done.seals or self._done.unsealed or not await repos.deployment.has_sealed_rows():
            return None
        sentence = "There are people in the database and nothing in the trail: all of it was taken away."
        return Finding(attack=Attack.CUT, seal_no=1, sentence=sentence)


def _find_misplaced(said: Statement, leaves: Positioned, entries: Entries) -> Finding | None:
    """Of leaves that are all there and have another root, find the first that is not where its entry came."""
    stand = [(position, leaf) for position, leaf in leaves if leaf.entry_id in entries]
    came = sorted((entries[leaf.entry_id] for _, leaf in stand), key=lambda each: (each.xid, each.occurred_at, each.id))
    for (position, leaf), entry in zip(stand, came, strict=True):
        if leaf.entry_id != entry.id:
            return of_entry(Attack.REORDERED, said, position, leaf, "stands in another's place: entries were reordered")
    return None


def _is_of(entry: StoredEntry, leaf: Leaf) -> bool:
    return (entry.entry_hash, entry.retention) == (leaf.entry_hash, leaf.retention)


def _forged(entry: StoredEntry) -> Finding:
    sentence = f"The entry {entry.id} was not written by this service, or edited before it was sealed."
    return Finding(attack=Attack.FORGED, entry_id=entry.id, sentence=sentence)
