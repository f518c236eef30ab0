"""Writes the whole trail out, in the order of its seals, with all that proves it. Holds one page at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence

from cypher.auth.entries import SLICE, opened
from cypher.auth.visible import line_of
from cypher.clock import Clock
from cypher.crypto import base64url
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.sealing import Leaf
from cypher.crypto.signing import public_bytes
from cypher.maintenance.exported import End, Header, LeafLine, PublicKey, SealLine, UnsealedLine
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.audit_seals import Seal
from cypher.repositories.trail import Spot

PAGE = 500


class TrailExport:
    """One run."""

    def __init__(self, *, db: Database[Repositories], ring: KeyRing, clock: Clock, keep: Mapping[str, int]) -> None:
        self._db = db
        self._ring = ring
        self._clock = clock
        self._keep = keep
        self._seals = 0
        self._entries = 0

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines, each with its end."""
        header = Header(store_id=self._ring.store_id, exported_at=self._clock.now(), retention_days=dict(self._keep))
        yield line_of(header)
        for key in self._ring.live(Purpose.AUDIT):
            yield line_of(PublicKey(id=key.id, key=base64url.encode(public_bytes(key))))
        async for line in self._sealed():
            yield line
        async for line in self._unsealed():
            yield line
        yield line_of(End(seals=self._seals, entries=self._entries))

    async def _sealed(self) -> AsyncIterator[bytes]:
        after = 0
        while True:
            async with self._db.connection() as repos:
                seals = await repos.audit_seals.list_seals(after, PAGE)
            for seal in seals:
                async for line in self._under(seal):
                    yield line
                self._seals += 1
            if len(seals) < PAGE:
                return
            after = seals[-1].statement.seal_no

    async def _under(self, seal: Seal) -> AsyncIterator[bytes]:
        yield line_of(SealLine.of(seal))
        number = seal.statement.seal_no
        async with self._db.connection() as repos:
            leaves = (await repos.audit_seals.list_leaves(number, number)).get(number, [])
        for start in range(0, len(leaves), SLICE):
            for line in await self._leaf_lines(leaves[start : start + SLICE]):
                yield line

    async def _leaf_lines(self, leaves: Sequence[tuple[int, Leaf]]) -> list[bytes]:
        async with self._db.connection() as repos:
            found = await repos.trail.find_entries([leaf.entry_id for _, leaf in leaves])
            views = {view.id: view for view in await opened(repos, list(found.values()))}
        self._entries += len(views)
        return [
            line_of(
                LeafLine(
                    position=position,
                    retention=leaf.retention,
                    entry_id=leaf.entry_id,
                    entry_hash=base64url.encode(leaf.entry_hash),
                    entry=views.get(leaf.entry_id),
                )
            )
            for position, leaf in leaves
        ]

    async def _unsealed(self) -> AsyncIterator[bytes]:
        after: Spot | None = None
        while True:
            async with self._db.connection() as repos:
                entries = await repos.trail.list_unsealed(after, SLICE)
                views = await opened(repos, entries)
            self._entries += len(views)
            for view in views:
                yield line_of(UnsealedLine(entry=view))
            if len(entries) < SLICE:
                return
            after = Spot(entries[-1].occurred_at, entries[-1].id)
