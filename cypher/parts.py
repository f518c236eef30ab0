"""What is wired by itself, since several need it: what people do, what operators do, and the commands."""

from cypher.app import Resources
from cypher.auth.health import HealthCheck
from cypher.auth.living import LivingSessions
from cypher.auth.trail import AuditTrail
from cypher.config import AuditConfig
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.ephemeral.session_cache import SessionCache
from cypher.maintenance.proof import TrailProof
from cypher.schema import names

#: Days that the noisy class is kept; it has no setting.
SHORT_DAYS = 30


def audit_trail(open_: Resources) -> AuditTrail:
    """Wire what operators read the trail with."""
    return AuditTrail(db=open_.upkeep, audit=open_.audit, index=open_.index)


def trail_proof(open_: Resources) -> TrailProof:
    """Wire what operators prove the trail with. How long it is kept is this machine's setting, not the database's."""
    keep = keep_of(open_.config.audit)
    return TrailProof(db=open_.upkeep, ring=open_.ring, clock=open_.clock, audit=open_.audit, keep=keep)


def keep_of(config: AuditConfig) -> dict[str, int]:
    """Return for how many days each class is kept, by the setting."""
    return {"long": config.retention_days, "short": SHORT_DAYS}


def living_sessions(open_: Resources) -> LivingSessions:
    """Wire what answers whether sessions live, and buries those that do not."""
    lives = open_.config.sessions
    return LivingSessions(
        db=open_.db,
        cache=SessionCache(open_.redis, open_.codec, open_.ring.epoch, open_.clock, lives.cache),
        clock=open_.clock,
        idle=lives.idle,
        tombstone=max(lives.access_token, 2 * lives.cache),
        metrics=open_.metrics,
    )


def health_check(open_: Resources) -> HealthCheck:
    """Wire what says whether the service has what it needs."""
    return HealthCheck(db=open_.db, redis=open_.redis, ring=open_.ring, migrations=frozenset(names()))


def rate_limiter(open_: Resources) -> RateLimiter:
    """Wire what counts attempts."""
    return RateLimiter(open_.redis, open_.index, open_.ring.epoch, open_.clock)
