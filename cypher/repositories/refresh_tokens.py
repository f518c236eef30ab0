"""Refresh tokens: single use, in families. The family is the session, and lives and dies with it.

No token is stored, only its hash; a successor lies sealed beside its parent for as long as a lost answer may be
asked for again.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from cypher import sqlfiles
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.postgres import Executor, Record

sql = sqlfiles.load("refresh_tokens")


class TokenMetadata(msgspec.Struct, frozen=True):
    """The JSON in `metadata`: from where a token was asked for."""

    ip_address: str
    user_agent: str


class RotationWord(StrEnum):
    """What a presented token turned out to be."""

    ROTATED = "rotated"  #: good; it is spent now, and the new token stands
    REPEATED = "repeated"  #: spent a moment ago; the answer is its successor
    REUSED = "reused"  #: spent before: somebody has a copy, and the session is ended
    DEAD = "dead"  #: its session was ended, or its owner's account is disabled
    EXPIRED = "expired"  #: its session has outlived its limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The outcome of presenting a token."""

    word: RotationWord
    session_id: UUID
    user_id: UUID
    successor: str | None = field(default=None, repr=False)  #: the token to answer, for `repeated`


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptToken:
    """What is kept of a token, which is not the token."""

    token_hash: bytes  #: 32 bytes
    session_id: UUID
    metadata: TokenMetadata | None  #: opened here, sealed in the row
    issued_at: datetime
    consumed_at: datetime | None


class RefreshTokenRepository:
    """The table `refresh_tokens`. Hashes have 32 bytes."""

    def __init__(self, run: Executor, codec: FieldCodec) -> None:
        self._run = run
        self._codec = codec

    async def find_session_id(self, token_hash: bytes) -> UUID | None:
        """Return the session of a token, spent or not."""
        found = await self._run.value(sql.find_session_id, token_hash)
        return found if isinstance(found, UUID) else None

    async def list_tokens(self, user_id: UUID, before: tuple[datetime, bytes], most: int) -> list[KeptToken]:
        """Return the next tokens of a person before a moment and a hash, newest first."""
        return [await self._kept(row) for row in await self._run.many(sql.list_tokens, user_id, *before, most)]

    async def rotate(
        self,
        *,
        old_hash: bytes,
        new_hash: bytes,
        new_token: str,
        grace: timedelta,
        idle: timedelta,
        metadata: TokenMetadata,
    ) -> Rotation | None:
        """Exchange a token for `new_token`, or say why not; None for a token that is unknown.

        One statement decides and acts, so that of any number of callers exactly one rotates. Commit whatever the
        outcome: for `reused` it has ended the session.
        """
        cell = Cell("refresh_tokens", "successor", old_hash)
        child = await self._codec.seal(new_token.encode(), cell)
        about = await seal_metadata(self._codec, metadata, new_hash)
        row = await self._run.one(
            sql.rotate,
            old_hash,
            new_hash,
            child.ciphertext,
            child.key_id,
            grace,
            idle,
            about.ciphertext,
            about.key_id,
        )
        if row is None:
            return None
        word = RotationWord(row["word"])
        successor = None
        if word is RotationWord.REPEATED:
            opened = await self._codec.open(Sealed(row["successor"], row["successor_key_id"]), cell)
            successor = opened.decode()
        return Rotation(word=word, session_id=row["session_id"], user_id=row["user_id"], successor=successor)

    async def _kept(self, row: Record) -> KeptToken:
        metadata = None
        if row["metadata"] is not None:
            cell = Cell("refresh_tokens", "metadata", row["token_hash"])
            opened = await self._codec.open(Sealed(row["metadata"], row["metadata_key_id"]), cell)
            metadata = msgspec.json.decode(opened, type=TokenMetadata)
        return KeptToken(
            token_hash=row["token_hash"],
            session_id=row["session_id"],
            metadata=metadata,
            issued_at=row["issued_at"],
            consumed_at=row["consumed_at"],
        )


async def seal_metadata(codec: FieldCodec, metadata: TokenMetadata, token_hash: bytes) -> Sealed:
    """Seal where a token was asked for from, for the token's own row."""
    return await codec.seal(msgspec.json.encode(metadata), Cell("refresh_tokens", "metadata", token_hash))
