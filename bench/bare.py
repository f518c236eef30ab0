"""The drivers with nothing of Cypher around them: what floors are made of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import asyncpg
from redis.asyncio import BlockingConnectionPool, Redis

from cypher.config import PostgresConfig, RedisConfig

#: As many as Cypher's own client has.
CONNECTIONS = 64


@asynccontextmanager
async def bare_connection(config: PostgresConfig) -> AsyncIterator[asyncpg.Connection]:
    """Connect with the rights of the service."""
    connection = await asyncpg.connect(**_options(config))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def bare_pool(config: PostgresConfig) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool as asyncpg has it."""
    async with asyncpg.create_pool(**_options(config), min_size=1, max_size=config.pool_max) as pool:
        yield pool


@asynccontextmanager
async def bare_redis(config: RedisConfig) -> AsyncIterator[Redis]:
    """Open redis-py as Cypher does, but for the time-outs."""
    assert config.url
    pool = BlockingConnectionPool.from_url(
        config.url,
        password=config.password.reveal() if config.password else None,
        max_connections=CONNECTIONS,
        protocol=2,
    )
    async with Redis.from_pool(pool) as redis:
        yield redis


def _options(config: PostgresConfig) -> dict[str, object]:
    return {
        "dsn": f"postgresql://?{urlencode(config.tls())}",
        "host": list(config.hosts),
        "port": config.port,
        "user": config.user,
        "password": config.password.reveal() if config.password else None,
        "database": config.database,
    }
