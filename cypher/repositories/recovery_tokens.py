"""Recovery tokens: who may set a password without knowing the old one. The token itself is never stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.postgres import Executor
from cypher.repositories.accounts import CredentialState, credential_state
from cypher.repositories.users import USERNAME

sql = sqlfiles.load("recovery_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token without its value."""

    created_at: datetime
    expires_at: datetime  #: also the moment at which it was ended before its time
    used_at: datetime | None


class RecoveryTokenRepository:
    """The table `recovery_tokens`. Hashes have 32 bytes."""

    def __init__(self, run: Executor, index: BlindIndex) -> None:
        self._run = run
        self._index = index

    async def insert_token(self, token_hash: bytes, user_id: UUID, lifetime: timedelta) -> datetime | None:
        """Insert a token and return when it expires; None for somebody who is disabled, locked or not there."""
        expires_at = await self._run.value(sql.insert_token, token_hash, user_id, lifetime)
        return expires_at if isinstance(expires_at, datetime) else None

    async def find_credential(self, token_hash: bytes, username: str) -> CredentialState | None:
        """Return what a new password takes the place of, if this is a living token of the person of this name."""
        indexes = await self._index.indexes(username, USERNAME)
        row = await self._run.one(sql.find_credential, token_hash, indexes)
        return credential_state(row) if row else None

    async def use_token(self, token_hash: bytes, user_id: UUID) -> bool:
        """Accept a token; False when it is unknown, expired or was accepted before."""
        return await self._run.execrows(sql.use_token, token_hash, user_id) == 1

    async def end_tokens(self, user_id: UUID) -> int:
        """End every token of a person that still works; returns how many."""
        return await self._run.execrows(sql.end_tokens, user_id)

    async def list_tokens(self, user_id: UUID, most: int) -> list[IssuedToken]:
        """Return a person's tokens, newest first."""
        return [
            IssuedToken(created_at=row["created_at"], expires_at=row["expires_at"], used_at=row["used_at"])
            for row in await self._run.many(sql.list_tokens, user_id, most)
        ]

    async def delete_expired(self) -> int:
        """Forget tokens that expired more than a day ago; returns how many."""
        return await self._run.execrows(sql.delete_expired)
