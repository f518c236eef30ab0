"""What the service needs, and whether it is there."""

import asyncio

from cypher.auth.types import Health
from cypher.crypto.keyring import KeyRing
from cypher.errors import Unavailable
from cypher.postgres import Database
from cypher.redis_client import RedisClient
from cypher.repositories import Repositories


async def health_check(db: Database[Repositories], redis: RedisClient) -> dict[str, bool]:
    """Return {'postgres': …, 'redis': …}."""
    postgres_is_there, redis_is_there = await asyncio.gather(db.ping(), redis.ping())
    return {"postgres": postgres_is_there, "redis": redis_is_there}


class HealthCheck:
    """Answers for one instance."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        redis: RedisClient,
        ring: KeyRing,
        migrations: frozenset[str],
    ) -> None:
        self._db = db
        self._redis = redis
        self._ring = ring
        self._migrations = migrations

    async def check(self) -> Health:
        """Ask PostgreSQL and Redis at the same time; the schema only when PostgreSQL answers."""
        servers = await health_check(self._db, self._redis)
        migrations = servers["postgres"] and await self._schema_is_current()
        return Health(
            postgres=servers["postgres"], redis=servers["redis"], migrations=migrations, keys=self._ring.healthy
        )

    async def _schema_is_current(self) -> bool:
        try:
            async with self._db.connection() as repos:
                return self._migrations <= await repos.deployment.list_migrations()
        except Unavailable:
            return False
