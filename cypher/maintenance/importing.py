"""Takes people over from another system: a few hundred in one transaction, with their audit entry.

It never changes somebody who is there: whoever was taken over before is skipped, so that a run which was interrupted is
run again, and a name that somebody else has is refused.
"""

import asyncio
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.naming import hold_names
from cypher.auth.opaque import accept_setup
from cypher.clock import Clock, new_id
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.rotation import adopt
from cypher.errors import UsernameTaken
from cypher.maintenance.import_lines import LineRefused, read_line
from cypher.maintenance.key_identity import note_ring
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.newcomers import Newcomer

#: People of one transaction: enough that the round trips do not count, and 50 ms of sealing.
BATCH = 500


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not taken over. Neither a name nor anything else of the line is in it."""

    line: int  #: from 1
    field: str  #: JSON pointer; empty for the whole line
    reason: str


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came of the lines so far."""

    lines: int = 0
    bytes: int = 0
    imported: int = 0  #: or would be, in a dry run
    skipped: int = 0  #: were there already, just so
    refused: int = 0


#: What a dry run would have inserted: by name, the id of the password.
Planned = dict[str, bytes | None]


@dataclass(slots=True, kw_only=True)
class Importing:
    """One run over a file. `refuse` and `report` are called as it goes on."""

    db: Database[Repositories]
    ring: KeyRing
    audit: Audit
    clock: Clock
    refuse: Callable[[Refusal], None]
    report: Callable[[Imported], None] = lambda done: None
    done: Imported = field(default_factory=Imported)

    async def keep_setup(self, raw: bytes) -> str:
        """Put the server setup (128 bytes) that records were made under into the key store; returns its key's id.

        Raises MalformedOpaqueMessage, and has changed nothing, for what is none.
        """
        key_id, is_new = await asyncio.to_thread(adopt, self.ring, Purpose.OPAQUE, accept_setup(raw))
        async with self.db.transaction() as repos:
            await note_ring(repos.deployment, self.ring)
            if is_new:
                await self.audit.record(repos, Happening(event=Event.OPAQUE_SETUP_ADOPTED, note=key_id), None)
        return key_id

    async def run(self, lines: Iterable[bytes], setup_id: str | None, *, dry_run: bool) -> Imported:
        """Take the people of these lines over. In a dry run nothing is changed, and the answer is what would be."""
        planned: Planned | None = {} if dry_run else None
        numbered = enumerate(lines, start=1)
        while batch := list(islice(numbered, BATCH)):
            people = dict(self._read(batch, setup_id))
            if people:
                await self._take_over(people, planned)
            self.done.lines += len(batch)
            self.done.bytes += sum(len(raw) for _, raw in batch)
            self.report(self.done)
        return self.done

    def _read(self, batch: list[tuple[int, bytes]], setup_id: str | None) -> Iterator[tuple[int, Newcomer]]:
        for number, raw in batch:
            if not raw.strip():
                continue
            try:
                yield number, read_line(raw, new_id(self.clock), setup_id)
            except LineRefused as refused:
                self._refuse(number, refused.field, refused.reason)

    async def _take_over(self, people: dict[int, Newcomer], planned: Planned | None) -> None:
        async with self.db.transaction() as repos:
            await hold_names(repos, self.ring)
            if planned is None:
                inserted = await repos.newcomers.insert_newcomers([*people.values()])
                if inserted:
                    told = Happening(event=Event.USERS_IMPORTED, note=f"{len(inserted)} people")
                    await self.audit.record(repos, told, None)
            else:
                inserted = set()
            others = {number: person for number, person in people.items() if person.id not in inserted}
            there = await repos.newcomers.list_password_ids({person.username for person in others.values()})
        # Only now: what is counted is committed.
        self.done.imported += len(inserted)
        for number, person in others.items():
            self._judge(number, person, there, planned)

    def _judge(self, number: int, person: Newcomer, there: Planned, planned: Planned | None) -> None:
        password_id = person.password.id() if person.password else None
        known = ChainMap(there, {} if planned is None else planned)
        if planned is not None and person.username not in known:
            planned[person.username] = password_id
            self.done.imported += 1
        elif person.username in known and known[person.username] == password_id:
            self.done.skipped += 1
        else:
            self._refuse(number, "/username", UsernameTaken.code)

    def _refuse(self, number: int, where: str, reason: str) -> None:
        self.done.refused += 1
        self.refuse(Refusal(line=number, field=where, reason=reason))
