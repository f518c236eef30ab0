"""Access tokens that were ended before their time, kept until they would have expired anyway."""

from datetime import datetime
from uuid import UUID

from cypher import sqlfiles
from cypher.postgres import Executor

sql = sqlfiles.load("token_blacklist")


class BlacklistRepository:
    """The table `token_blacklist`."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def insert_ended(self, *, jti: str, session_id: UUID, expires_at: datetime, reason: str) -> bool:
        """End one token; False when it was ended before."""
        return await self._run.execrows(sql.insert_ended, jti, session_id, expires_at, reason) == 1

    async def is_ended(self, jti: str) -> bool:
        """Tell whether a token that has not expired was ended."""
        return await self._run.value(sql.is_ended, jti) is True

    async def delete_expired(self) -> int:
        """Forget tokens that have expired; returns how many."""
        return await self._run.execrows(sql.delete_expired)
