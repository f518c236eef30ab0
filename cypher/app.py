"""The composition root: settings in, everything open that a service stands on. What it opens it closes again.

What people, backends and operators can do with it is made in `wiring` and `operating`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from cypher.auth.audit import Audit
from cypher.clock import Clock
from cypher.config import Config, Secret
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing, RotationPolicy
from cypher.crypto.keystore import DirectoryKeyStore, KeyStore
from cypher.errors import KeyStoreRefused, SchemaRefused
from cypher.maintenance.background import RATE, BackgroundReencryption
from cypher.maintenance.key_identity import open_key_ring, open_restored_key_ring
from cypher.maintenance.key_keeping import KeyKeeper
from cypher.maintenance.leases import Leases
from cypher.maintenance.reencryption import Reencryption
from cypher.metrics import Metrics
from cypher.postgres import MAINTENANCE_SECONDS, Database
from cypher.postgres_keys import PostgresKeyStore
from cypher.redis_client import RedisClient
from cypher.repositories import Repositories, repositories_over
from cypher.repositories.deployment import DeploymentOnly
from cypher.schema import pending

#: Two for each re-encryption, by itself and asked for, which may take hours: one of these holds its lock. The others
#: are for operators, and for what seals the audit trail beside them.
UPKEEP_CONNECTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What is open while a service or a command runs."""

    config: Config
    clock: Clock
    ring: KeyRing
    codec: FieldCodec
    index: BlindIndex
    db: Database[Repositories]
    upkeep: Database[Repositories]  #: a few connections whose statements may take minutes
    redis: RedisClient
    audit: Audit
    keys: KeyKeeper
    metrics: Metrics


#: How a ring is opened beside the database that it belongs to.
OpenRing = Callable[[Database[DeploymentOnly], KeyStore, Secret, Clock], Awaitable[KeyRing]]


def resources(config: Config, clock: Clock, *, may_create_keys: bool = False) -> AbstractAsyncContextManager[Resources]:
    """Open database, key ring and Redis; refuses a schema that is behind and a key store that does not fit."""
    return _resources(config, clock, partial(open_key_ring, may_create=may_create_keys))


def restored_resources(config: Config, clock: Clock) -> AbstractAsyncContextManager[Resources]:
    """Open what was brought back from a backup and is not served yet, as the schema's owner, in a new epoch."""
    return _resources(replace(config, postgres=config.postgres.as_owner()), clock, open_restored_key_ring)


@asynccontextmanager
async def _resources(config: Config, clock: Clock, open_ring: OpenRing) -> AsyncIterator[Resources]:
    behind = await asyncio.to_thread(pending, config.postgres)
    if behind:
        raise SchemaRefused(
            f"The database's schema lacks {len(behind)} migration(s), the first is {behind[0]}. Run `cypher migrate`."
        )
    async with AsyncExitStack() as closing:
        # Of few connections, apart from the requests': who seals holds one of those while uses are reserved here.
        uncoded = await Database.open(replace(config.postgres, pool_max=2), DeploymentOnly.over)
        closing.push_async_callback(uncoded.close)
        await uncoded.require_limits()
        password = required_password(config)
        ring = await open_ring(uncoded, key_store(config), password, clock)
        leases = Leases(uncoded, ring, config.keys.rotation_operations)
        codec, index = FieldCodec(ring, leases), BlindIndex(ring)
        over = repositories_over(ring, codec, index)
        db = await Database.open(config.postgres, over)
        closing.push_async_callback(db.close)
        few = replace(config.postgres, pool_max=UPKEEP_CONNECTIONS, statement_seconds=MAINTENANCE_SECONDS)
        upkeep = await Database.open(few, over)
        closing.push_async_callback(upkeep.close)
        redis = RedisClient.open(config.redis, clock)
        closing.push_async_callback(redis.close)
        metrics = Metrics(config.metrics_folder)
        audit = Audit(clock, index, metrics)
        closing.push_async_callback(audit.close, db)
        keys = KeyKeeper(db=db, ring=ring, leases=leases, audit=audit, clock=clock, policy=rotation_policy(config))
        yield Resources(
            config=config,
            clock=clock,
            ring=ring,
            codec=codec,
            index=index,
            db=db,
            upkeep=upkeep,
            redis=redis,
            audit=audit,
            keys=keys,
            metrics=metrics,
        )


def rotation_policy(config: Config) -> RotationPolicy:
    """Return when keys are due, of the settings."""
    return RotationPolicy(age=config.keys.rotation_age, operations=config.keys.rotation_operations)


def reencryption(open_: Resources, rate: int | None) -> Reencryption:
    """Wire a run of re-encryption."""
    return Reencryption(db=open_.upkeep, ring=open_.ring, codec=open_.codec, clock=open_.clock, rate=rate)


def background_reencryption(open_: Resources) -> BackgroundReencryption:
    """Wire the re-encryption that nobody has to ask for."""
    return BackgroundReencryption(
        db=open_.upkeep,
        ring=open_.ring,
        audit=open_.audit,
        clock=open_.clock,
        make=lambda: reencryption(open_, RATE),
    )


def key_store(config: Config) -> KeyStore:
    """Return the store that the settings name; opens nothing."""
    if config.keys.store == "postgres" or config.keys.path is None:
        return PostgresKeyStore(config.postgres)
    return DirectoryKeyStore(config.keys.path)


def required_password(config: Config) -> Secret:
    """Return the master password; raise KeyStoreRefused when there is none."""
    if config.keys.master_password is None:
        raise KeyStoreRefused("MASTER_ENCRYPTION_PASSWORD is not set.")
    return config.keys.master_password
