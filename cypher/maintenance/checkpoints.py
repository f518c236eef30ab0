"""Signed statements of how long the audit trail is, for a place that whoever can cut it does not reach."""

import logging
from collections.abc import Iterable, Iterator
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from cypher.clock import Clock, Moment
from cypher.crypto import base64url
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.sealing import Mark, Statement
from cypher.crypto.signing import sign
from cypher.errors import OperatorError

logger = logging.getLogger("cypher.audit")

#: What is cut off within this time after it was sealed is not missed by a checkpoint.
PAUSE_SECONDS = 10.0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON; binary is base64url."""

    store_id: UUID
    seal_no: int
    digest: str
    made_at: Moment
    signing_key_id: str
    signature: str
    version: Literal[1] = 1

    def mark(self) -> Mark:
        """Return what is signed; raises ValueError where that is not what we write."""
        digest = base64url.decode(self.digest)
        return Mark(store_id=self.store_id, seal_no=self.seal_no, digest=digest, made_at=self.made_at)

    def line(self) -> bytes:
        """Return it as it is written down."""
        return msgspec.json.encode(self) + b"\n"


class Sink(Protocol):
    """Where checkpoints go."""

    async def publish(self, line: bytes) -> None:
        """Write a line so that it stays; raises OperatorError, which says what is in the way."""
        ...


class Checkpoints:
    """Makes them and sees them off."""

    def __init__(self, ring: KeyRing, clock: Clock, sink: Sink | None) -> None:
        self._ring = ring
        self._clock = clock
        self._sink = sink
        self._published = 0
        self._problem = ""

    async def make(self, last: Statement) -> Checkpoint:
        """Return the checkpoint of a trail that ends with this seal."""
        key = await self._ring.confirmed(Purpose.AUDIT)
        mark = Mark(store_id=self._ring.store_id, seal_no=last.seal_no, digest=last.digest(), made_at=self._clock.now())
        return Checkpoint(
            store_id=mark.store_id,
            seal_no=mark.seal_no,
            digest=base64url.encode(mark.digest),
            made_at=mark.made_at,
            signing_key_id=key.id,
            signature=base64url.encode(sign(key, mark.message())),
        )

    async def publish(self, last: Statement | None) -> None:
        """Publish a new end of the trail. What cannot be published is said in the log once, and tried again."""
        if self._sink is None or last is None or last.seal_no == self._published:
            return
        checkpoint = await self.make(last)
        try:
            await self._sink.publish(checkpoint.line())
        except OperatorError as problem:
            if str(problem) != self._problem:
                logger.error("the audit trail goes on without new checkpoints: %s", problem)
            self._problem = str(problem)
            return
        self._problem = ""
        self._published = last.seal_no


def read_checkpoints(lines: Iterable[bytes]) -> Iterator[Checkpoint]:
    """Read checkpoints, each line by itself; raises OperatorError where there is none at all.

    A line that is none is left aside: a crash may have cut it short, and whoever could spoil it could take it away.
    """
    found = False
    for line in lines:
        try:
            checkpoint = msgspec.json.decode(line, type=Checkpoint)
            checkpoint.mark()
        except (msgspec.DecodeError, RecursionError, ValueError):
            continue
        found = True
        yield checkpoint
    if not found:
        raise OperatorError("There is no checkpoint in this file.")
