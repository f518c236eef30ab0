"""The composition root: settings in, a whole service out. It opens what it hands over, and closes it again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from cypher.auth import Services
from cypher.auth.access_tokens import AccessTokens
from cypher.auth.activity import Activity
from cypher.auth.audit import Audit
from cypher.auth.endings import Endings
from cypher.auth.factors import Factors
from cypher.auth.freshness import Freshness
from cypher.auth.health import HealthCheck
from cypher.auth.incidents import Incidents
from cypher.auth.limit_review import LimitReview
from cypher.auth.living import LivingSessions
from cypher.auth.login import Login
from cypher.auth.login_limits import LoginLimits
from cypher.auth.mfa import SecondStep
from cypher.auth.new_sessions import NewSessions, SessionLimits
from cypher.auth.opaque import OpaqueServer
from cypher.auth.rate_limits import RateLimits
from cypher.auth.reauthentication import Reauthentication
from cypher.auth.registration import Registration
from cypher.auth.renewals import Renewals
from cypher.auth.second_factor import SecondFactor
from cypher.auth.service_tokens import ServiceTokens
from cypher.auth.sessions import Sessions
from cypher.auth.tokens import Tokens
from cypher.auth.totp import issuer_of
from cypher.clock import Clock
from cypher.config import Config, Secret
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing, RotationPolicy
from cypher.crypto.keystore import DirectoryKeyStore, KeyStore
from cypher.ephemeral.flows import FlowStore
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.ephemeral.session_cache import SessionCache
from cypher.errors import KeyStoreRefused, SchemaRefused
from cypher.maintenance.background import RATE, BackgroundReencryption
from cypher.maintenance.key_identity import open_key_ring
from cypher.maintenance.key_keeping import KeyKeeper
from cypher.maintenance.leases import Leases
from cypher.maintenance.reencryption import Reencryption
from cypher.migrate import names, pending
from cypher.postgres import MAINTENANCE_SECONDS, Database
from cypher.postgres_keys import PostgresKeyStore
from cypher.redis_client import RedisClient
from cypher.repositories import Repositories, repositories_over
from cypher.repositories.deployment import DeploymentOnly


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


@asynccontextmanager
async def resources(config: Config, clock: Clock, *, may_create_keys: bool = False) -> AsyncIterator[Resources]:
    """Open database, key ring and Redis; refuses a schema that is behind and a key store that does not fit."""
    behind = await asyncio.to_thread(pending, config.postgres)
    if behind:
        raise SchemaRefused(
            f"The database's schema lacks {len(behind)} migration(s), the first is {behind[0]}. Run `cypher migrate`."
        )
    async with AsyncExitStack() as closing:
        # Of few connections, apart from the requests': who seals holds one of those while uses are reserved here.
        uncoded = await Database.open(replace(config.postgres, pool_max=2), DeploymentOnly.over)
        closing.push_async_callback(uncoded.close)
        password = required_password(config)
        ring = await open_key_ring(uncoded, key_store(config), password, clock, may_create=may_create_keys)
        leases = Leases(uncoded, ring, config.keys.rotation_operations)
        codec, index = FieldCodec(ring, leases), BlindIndex(ring)
        over = repositories_over(ring, codec, index)
        db = await Database.open(config.postgres, over)
        closing.push_async_callback(db.close)
        # Two for re-encryption, which may take hours, and some for the trail beside it.
        few = replace(config.postgres, pool_max=5)
        upkeep = await Database.open(few, over, statement_seconds=MAINTENANCE_SECONDS)
        closing.push_async_callback(upkeep.close)
        redis = RedisClient.open(config.redis, clock)
        closing.push_async_callback(redis.close)
        audit = Audit(clock, index)
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


def limit_review(open_: Resources) -> LimitReview:
    """Wire what an operator does about limits."""
    return LimitReview(limiter=_rate_limiter(open_), config=open_.config.limits, db=open_.db, audit=open_.audit)


def build_services(open_: Resources) -> Services:
    """Wire the use cases."""
    config, db, audit, shared = open_.config, open_.db, open_.audit, _shared(open_)
    access, living, endings = shared.access, shared.living, Endings(db=db, audit=audit)
    login, second_step, reauthentication = _ways_in(open_, shared)
    return Services(
        registration=Registration(
            db=db,
            flows=shared.flows,
            opaque=shared.opaque,
            ring=open_.ring,
            audit=audit,
            clock=open_.clock,
            is_open=config.registration == "open",
            flow_lifetime=config.sessions.login_flow,
        ),
        login=login,
        second_step=second_step,
        reauthentication=reauthentication,
        factors=Factors(
            db=db,
            audit=audit,
            factor=shared.factor,
            freshness=Freshness(config.factors.fresh),
            issuer=issuer_of(config.http.public_origin),
        ),
        sessions=Sessions(db=db, access=access, living=living, endings=endings),
        tokens=Tokens(
            db=db,
            access=access,
            living=living,
            audit=audit,
            endings=endings,
            grace=config.sessions.refresh_grace,
            idle=config.sessions.idle,
        ),
        service_tokens=ServiceTokens(db=db, audit=audit, clock=open_.clock),
        opaque=shared.opaque,
        health=HealthCheck(db=db, redis=open_.redis, ring=open_.ring, migrations=frozenset(names())),
        incidents=Incidents(audit=audit),
        activity=Activity(db=db, audit=audit),
        rate_limits=shared.limits,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What several use cases are made of."""

    opaque: OpaqueServer
    flows: FlowStore
    access: AccessTokens
    living: LivingSessions
    factor: SecondFactor
    limits: RateLimits


def _shared(open_: Resources) -> _Shared:
    config, clock, ring, lives = open_.config, open_.clock, open_.ring, open_.config.sessions
    return _Shared(
        opaque=OpaqueServer(ring),
        flows=FlowStore(open_.redis, open_.codec, ring.epoch),
        access=AccessTokens(
            ring,
            clock,
            issuer=config.http.public_origin,
            audience=config.http.access_token_audience,
            lifetime=lives.access_token,
        ),
        living=_living_sessions(open_),
        factor=SecondFactor(audit=open_.audit, clock=clock, limits=config.factors.limits),
        limits=RateLimits(limiter=_rate_limiter(open_), config=config.limits, audit=open_.audit, clock=clock),
    )


def _ways_in(open_: Resources, shared: _Shared) -> tuple[Login, SecondStep, Reauthentication]:
    """Wire what ends with a session that was proven: by the password, and by a factor where one is enrolled."""
    db, audit, clock, lives = open_.db, open_.audit, open_.clock, open_.config.sessions
    limits = SessionLimits(idle=lives.idle, absolute=lives.absolute)
    attempts = LoginLimits(shared.limits)
    new = NewSessions(access=shared.access, living=shared.living, audit=audit, limits=limits)
    renewals = Renewals(access=shared.access, living=shared.living, audit=audit)
    second_step = SecondStep(
        db=db,
        flows=shared.flows,
        factor=shared.factor,
        new=new,
        renewals=renewals,
        attempts=attempts,
        audit=audit,
        clock=clock,
        flow_lifetime=open_.config.factors.flow,
    )
    login = Login(
        db=db,
        flows=shared.flows,
        opaque=shared.opaque,
        ring=open_.ring,
        audit=audit,
        new=new,
        second_step=second_step,
        clock=clock,
        attempts=attempts,
        flow_lifetime=lives.login_flow,
    )
    reauthentication = Reauthentication(
        db=db,
        flows=shared.flows,
        opaque=shared.opaque,
        audit=audit,
        renewals=renewals,
        second_step=second_step,
        attempts=attempts,
        flow_lifetime=lives.login_flow,
    )
    return login, second_step, reauthentication


def _living_sessions(open_: Resources) -> LivingSessions:
    lives = open_.config.sessions
    return LivingSessions(
        db=open_.db,
        cache=SessionCache(open_.redis, open_.codec, open_.ring.epoch, open_.clock, lives.cache),
        clock=open_.clock,
        idle=lives.idle,
        tombstone=max(lives.access_token, 2 * lives.cache),
    )


def _rate_limiter(open_: Resources) -> RateLimiter:
    return RateLimiter(open_.redis, open_.index, open_.ring.epoch, open_.clock)
