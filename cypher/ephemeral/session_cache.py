"""Sessions as the hot path reads them: one GET tells whether a session lives and which of its tokens were ended.

Three things can stand under a session's name: its sealed document, the tombstone `x` of a revoked session, or the
marker `e` of a session that must be read from PostgreSQL anew. Nothing here decides: PostgreSQL is written first.
"""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum
from importlib.resources import files
from uuid import UUID

import msgspec

from cypher.clock import Clock
from cypher.crypto.codec import FieldCodec
from cypher.ephemeral.sealed_values import SealedValues
from cypher.redis_client import RedisClient

KIND = "session"
TOMBSTONE = b"x"
MARKER = b"e"
TRUST = timedelta(seconds=30)
#: A fill that took longer than a request may take is dropped. The marker outlives whatever is read before it is set,
#: for as long as that may be trusted: also what a process stores that was stopped for a while in between.
FILL_LIMIT = timedelta(seconds=5)
MARKER_LIFETIME = TRUST + FILL_LIMIT
#: Documents opened lately, by name and exact value. About 2 KiB each.
MEMO = 4096


class Tombstone(Enum):
    """The one thing that stands for a revoked session."""

    REVOKED = "revoked"


class SessionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A session as the cache holds it. `filled_at` is the moment BEFORE PostgreSQL was read."""

    id: UUID
    user_id: UUID
    username: str
    aal: int
    amr: tuple[str, ...]
    authenticated_at: datetime
    created_at: datetime
    expires_at: datetime
    idle_expires_at: datetime
    device_id: UUID | None
    ended_jtis: tuple[str, ...]
    filled_at: datetime


class SessionCache:
    """Trusts a document for `trust` (30 s at most) by its own `filled_at`, whatever life Redis gives it."""

    def __init__(
        self, redis: RedisClient, codec: FieldCodec, epoch: str, clock: Clock, trust: timedelta = TRUST
    ) -> None:
        self._redis = redis
        self._values = SealedValues(codec, epoch)
        self._clock = clock
        self._trust = min(trust, TRUST)
        self._memo: OrderedDict[tuple[str, bytes], SessionDocument] = OrderedDict()
        self._mark = redis.script(files("cypher.ephemeral").joinpath("lua", "mark_session.lua").read_text("utf-8"))

    async def get(self, session_id: UUID) -> SessionDocument | Tombstone | None:
        """Return the document, `Tombstone.REVOKED`, or None: then PostgreSQL must be asked."""
        value_id = str(session_id)
        key = self._values.key(KIND, value_id)
        value = await self._redis.get(key)
        if value is None or value == MARKER:
            return None
        if value == TOMBSTONE:
            return Tombstone.REVOKED
        document = self._memo.get((key, value)) or await self._opened(key, value, value_id)
        return document if document and self._holds(document) else None

    async def fill(self, document: SessionDocument) -> None:
        """Store a document where nothing stands: never over a tombstone, a marker or another fill."""
        age = self._clock.now() - document.filled_at
        lifetime = self._trust - age
        if not timedelta(0) <= age <= FILL_LIMIT or lifetime < timedelta(milliseconds=1):
            return
        value = await self._values.seal(msgspec.msgpack.encode(document), KIND, str(document.id))
        await self._redis.set(self._values.key(KIND, str(document.id)), value, px=_milliseconds(lifetime), nx=True)

    async def bury(self, session_ids: Iterable[UUID], lifetime: timedelta) -> None:
        """Set tombstones without condition, after the COMMIT that revoked.

        `lifetime` is as long as an access token of these sessions can live. When this raises, a document may still be
        trusted somewhere, or be again after a failover: the caller must not answer that the revocation holds.
        """
        keys = [self._values.key(KIND, str(session_id)) for session_id in session_ids]
        await self._redis.set_each(keys, TOMBSTONE, px=_milliseconds(lifetime))
        await self._redis.replicate(keys)

    async def mark(self, session_id: UUID, lifetime: timedelta = MARKER_LIFETIME) -> None:
        """Make everybody read the session from PostgreSQL anew, after the COMMIT that ended one of its tokens."""
        key = self._values.key(KIND, str(session_id))
        await self._mark([key], [_milliseconds(max(lifetime, MARKER_LIFETIME))])
        await self._redis.replicate([key])

    async def _opened(self, key: str, value: bytes, value_id: str) -> SessionDocument | None:
        plaintext = await self._values.open(value, KIND, value_id)
        if plaintext is None:
            return None
        try:
            document = msgspec.msgpack.decode(plaintext, type=SessionDocument)
        except msgspec.DecodeError:  # written by another version
            return None
        # A document is opened once in its life and asked for many times: the oldest is the least wanted.
        self._memo[key, value] = document
        if len(self._memo) > MEMO:
            self._memo.popitem(last=False)
        return document

    def _holds(self, document: SessionDocument) -> bool:
        # An instance whose clock is ahead writes documents from the future: no longer trusted than others.
        now = self._clock.now()
        return abs(now - document.filled_at) <= self._trust and now < min(document.expires_at, document.idle_expires_at)


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
