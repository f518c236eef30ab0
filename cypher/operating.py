"""The other half of the composition root: what operators do, at the command line and over HTTP."""

from collections.abc import Callable

from cypher.app import Resources, reencryption, rotation_policy
from cypher.auth.factor_changes import FactorReset
from cypher.auth.limit_review import LimitReview
from cypher.auth.people import People
from cypher.auth.session_review import SessionReview
from cypher.maintenance.asked_reencryption import AskedReencryption
from cypher.maintenance.importing import Importing, Refusal
from cypher.maintenance.key_custody import KeyCustody
from cypher.maintenance.measuring import Measuring
from cypher.maintenance.operations import Operations
from cypher.maintenance.retirement import Retirement
from cypher.parts import audit_trail, health_check, living_sessions, rate_limiter, trail_proof


def build_operations(open_: Resources) -> Operations:
    """Wire what operators do to a running service."""
    return Operations(
        keys=key_custody(open_),
        reencryption=asked_reencryption(open_),
        limits=limit_review(open_),
        factors=factor_reset(open_),
        people=people(open_),
        sessions=session_review(open_),
        trail=audit_trail(open_),
        proof=trail_proof(open_),
        measuring=Measuring(
            metrics=open_.metrics,
            db=open_.db,
            upkeep=open_.upkeep,
            ring=open_.ring,
            audit=open_.audit,
            health=health_check(open_),
            clock=open_.clock,
            operations_limit=open_.config.keys.rotation_operations,
        ),
    )


def key_custody(open_: Resources) -> KeyCustody:
    """Wire what a key custodian does."""
    return KeyCustody(
        db=open_.upkeep,
        ring=open_.ring,
        audit=open_.audit,
        policy=rotation_policy(open_.config),
        retirement=Retirement(
            db=open_.upkeep,
            ring=open_.ring,
            audit=open_.audit,
            clock=open_.clock,
            delay=open_.config.keys.destroy_delay,
            policy=rotation_policy(open_.config),
        ),
    )


def asked_reencryption(open_: Resources) -> AskedReencryption:
    """Wire the re-encryption that is asked for."""
    return AskedReencryption(
        db=open_.upkeep, ring=open_.ring, audit=open_.audit, make=lambda rate: reencryption(open_, rate)
    )


def limit_review(open_: Resources) -> LimitReview:
    """Wire what an operator does about limits."""
    return LimitReview(limiter=rate_limiter(open_), config=open_.config.limits, db=open_.db, audit=open_.audit)


def factor_reset(open_: Resources) -> FactorReset:
    """Wire the way back for who has lost a second factor."""
    return FactorReset(db=open_.db, audit=open_.audit)


def people(open_: Resources) -> People:
    """Wire what an operator does about people, with time for somebody of whom much is kept."""
    return People(db=open_.upkeep, ring=open_.ring, audit=open_.audit, living=living_sessions(open_), clock=open_.clock)


def importing(open_: Resources, refuse: Callable[[Refusal], None]) -> Importing:
    """Wire the taking over of people; `refuse` gets each line that is not taken."""
    return Importing(db=open_.upkeep, ring=open_.ring, audit=open_.audit, clock=open_.clock, refuse=refuse)


def session_review(open_: Resources) -> SessionReview:
    """Wire what an operator does about sessions, with time for whole tables."""
    return SessionReview(db=open_.upkeep, audit=open_.audit, living=living_sessions(open_))
