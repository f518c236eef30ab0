"""Opens the driver's client for what REDIS_URL names: one server, the primary that Sentinels know, or a cluster.

With short time-outs and no retries of the driver's own: what failed is decided by whoever asked.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from cypher.config import RedisConfig
from cypher.config.redis import RedisServers, servers_of

#: A call takes well under a millisecond: more connections than this wait for the server, not for each other.
CONNECTIONS = 64

AnyRedis = Redis | RedisCluster


def connect(config: RedisConfig, closing: AsyncExitStack) -> AnyRedis:
    """Make a client without connecting, to be closed by `closing`.

    `config` must name a server (`ValueError` while it is still embedded).
    """
    if config.url is None:
        raise ValueError("the embedded server has to be started, and its url filled in, before it can be opened")
    servers = servers_of(config.url)
    if servers is None:
        redis: AnyRedis = Redis.from_pool(ConnectionPool.from_url(config.url, **_options(config)))
    elif servers.primary is None:
        redis = _cluster(servers, _options(config))
    else:
        redis = _primary(servers, servers.primary, _options(config), closing)
    closing.push_async_callback(redis.aclose)
    return redis


class ClusterMap:
    """Has the driver learn the nodes of a cluster while nobody asks them anything.

    It closes connections to nodes that it knew before, in the background, and would close those that a burst of calls
    has just taken: at the first use, and after each failover.
    """

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster
        self._learning = asyncio.Lock()

    async def be_known(self) -> None:
        """Return when the nodes are known and nothing is being closed."""
        if not (self._cluster._initialize or self._learning.locked()):
            return
        async with self._learning:
            await self._cluster.initialize()
            await asyncio.gather(*self._cluster.nodes_manager._background_tasks, return_exceptions=True)


def _options(config: RedisConfig) -> dict[str, Any]:
    return {
        "password": config.password.reveal() if config.password else None,
        "max_connections": CONNECTIONS,
        "socket_connect_timeout": config.connect_seconds,
        "socket_timeout": config.command_seconds,
        "retry": Retry(NoBackoff(), 0),
        # RESP2 and no client name or version: connecting costs no round trip of its own.
        "protocol": 2,
        "driver_info": None,
    }


def _cluster(servers: RedisServers, options: dict[str, Any]) -> RedisCluster:
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in servers.nodes],
        # A part that is down is no reason to do without the others.
        require_full_coverage=False,
        **options,
        **_as_each(servers),
    )


def _primary(servers: RedisServers, name: str, options: dict[str, Any], closing: AsyncExitStack) -> Redis:
    """Ask the Sentinels, who need no password, at each new connection who is the primary."""
    given = _as_each(servers)
    plain = {key: value for key, value in options.items() if key != "password"}
    tls = {key: value for key, value in given.items() if key.startswith("ssl")}
    sentinel = Sentinel(servers.nodes, sentinel_kwargs={**plain, **tls})  # type: ignore[no-untyped-call]
    closing.push_async_callback(sentinel.aclose)
    redis: Redis = sentinel.master_for(name, **options, **given)
    return redis


def _as_each(servers: RedisServers) -> dict[str, Any]:
    """Return what holds for the connection to every one of them."""
    given: dict[str, Any] = dict(parse_url(servers.each))
    tls = given.pop("connection_class", None) is not None
    for place in ("host", "port"):
        given.pop(place, None)
    return {**given, "ssl": True} if tls else given
