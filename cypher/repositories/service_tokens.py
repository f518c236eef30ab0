"""Service tokens: who holds one and what it may do. The token itself is never stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cypher import sqlfiles
from cypher.postgres import Executor, Record

sql = sqlfiles.load("service_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceToken:
    """A token without its value."""

    id: UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None  #: a minute behind at the most
    revoked_at: datetime | None


class ServiceTokenRepository:
    """The table `service_tokens`. Hashes have 32 bytes."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def insert_token(
        self, *, token_id: UUID, name: str, token_hash: bytes, scopes: frozenset[str], expires_at: datetime | None
    ) -> None:
        await self._run.exec(sql.insert_token, token_id, name, token_hash, sorted(scopes), expires_at)

    async def find_live(self, token_hash: bytes) -> ServiceToken | None:
        """Return the token that is presented, if it was neither revoked nor has expired."""
        row = await self._run.one(sql.find_live, token_hash)
        return _token(row) if row else None

    async def list_tokens(self) -> list[ServiceToken]:
        """Return every token that was made, oldest first."""
        return [_token(row) for row in await self._run.many(sql.list_tokens)]

    async def revoke_token(self, token_id: UUID) -> bool:
        """End a token; True when this call ended it."""
        return await self._run.execrows(sql.revoke_token, token_id) == 1


def _token(row: Record) -> ServiceToken:
    return ServiceToken(
        id=row["id"],
        name=row["name"],
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
