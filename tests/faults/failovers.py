"""Failovers: the primary goes, of PostgreSQL or of Redis, another takes its place, and the service finds it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from cypher.config import PostgresConfig
from tests.faults.fault import Fault, PostgresFault, RedisFault
from tests.faults.world import OwnServers, World, own_folder, serving, settings
from tests.postgres_topologies import Pair, pair, with_database
from tests.processes import until
from tests.redis_nodes import Servers, role
from tests.redis_sentinels import REPLICAS, bring_back, order_failover, sentinels
from tests.redis_topologies import cluster

OURS = PostgresConfig(user="cypher_test", database="cypher", migration_user="cypher_test_owner")


class PostgresFailedOver(PostgresFault):
    """Nobody but us promotes, after some seconds. The old primary is the first of the hosts, and comes back."""

    name = "PostgreSQL 15 killed, its standby promoted"

    @classmethod
    @asynccontextmanager
    async def place(cls, servers: OwnServers) -> AsyncIterator[World]:
        async with own_folder(servers) as folder:
            with pair() as both:
                database = with_database(replace(OURS, hosts=both.hosts, port=both.primary.port), both.primary)
                environment = settings(database, servers.redis.url, folder)
                async with serving(environment, folder) as services:
                    yield World(
                        postgres=both,
                        redis=servers.redis,
                        services=services,
                        database=database,
                        environment=environment,
                    )

    @property
    def pair(self) -> Pair:
        assert isinstance(self.world.postgres, Pair)
        return self.world.postgres

    async def begin(self) -> None:
        await asyncio.to_thread(self.pair.primary.stop, "immediate")

    async def end(self) -> None:
        await asyncio.to_thread(self.pair.standby.promote)

    async def come_back(self) -> bool:
        await asyncio.to_thread(self.pair.primary.become_standby)
        return True


class RedisFailedOver(RedisFault):
    """It is over when there is another primary."""

    name = "Redis killed under three Sentinels, a replica promoted"
    seconds = 0.0
    asked: ClassVar[dict[str, str]] = {}  #: settings
    start: ClassVar[Callable[[Path], AbstractContextManager[Servers]]] = sentinels

    @classmethod
    @asynccontextmanager
    async def place(cls, servers: OwnServers) -> AsyncIterator[World]:
        async with own_folder(servers) as folder:
            with servers.postgres.database(folder.name) as database, cls.start(folder) as several:
                environment = settings(database, several.url, folder) | cls.asked
                async with serving(environment, folder) as services:
                    yield World(
                        postgres=servers.postgres,
                        redis=several,
                        services=services,
                        database=database,
                        environment=environment,
                    )

    @property
    def several(self) -> Servers:
        assert isinstance(self.world.redis, Servers)
        return self.world.redis

    async def begin(self) -> None:
        self._primaries = self._count_primaries()
        await asyncio.to_thread(self.several.primary().kill)

    async def end(self) -> None:
        await asyncio.to_thread(until, lambda: self._count_primaries() == self._primaries)

    async def come_back(self) -> bool:
        await asyncio.to_thread(bring_back, self.several)
        return True

    def _count_primaries(self) -> int:
        return sum(role(node) == "master" for node in self.several.nodes)


class RedisHandedOver(RedisFailedOver):
    """Somebody tells the Sentinels to: the old primary lives, takes writes for some seconds more, and then none.

    Meanwhile each instance has another primary. What the old one is told is lost, and the replica that has not been
    told yet to follow the new one has it too: only all replicas together make sure of it.
    """

    name = "Redis handed over by Sentinels, the old primary read-only after it"
    stops_logins = False
    asked: ClassVar = {"REDIS_WAIT_REPLICAS": str(REPLICAS)}

    async def begin(self) -> None:
        self._old = self.several.primary()
        await asyncio.to_thread(order_failover, self.several.url)

    async def end(self) -> None:
        await asyncio.to_thread(until, lambda: role(self._old) == "slave")

    async def come_back(self) -> bool:
        return False


class RedisClusterFailedOver(RedisFailedOver):
    """A third of all names is away meanwhile, and of their logouts none is acknowledged without a replica."""

    name = "one of three primaries of a Redis Cluster killed, its replica promoted"
    start = cluster

    async def end(self) -> None:
        await super().end()
        await asyncio.to_thread(next(node for node in self.several.nodes if node.is_dead()).run)

    async def come_back(self) -> bool:
        return False


FAILOVERS: tuple[type[Fault], ...] = (PostgresFailedOver, RedisFailedOver, RedisHandedOver, RedisClusterFailedOver)
