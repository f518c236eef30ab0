"""What operators can do to a running service; the counterpart of `auth.Services` on the operators' listener."""

from dataclasses import dataclass

from cypher.auth.factor_changes import FactorReset
from cypher.auth.limit_review import LimitReview
from cypher.auth.people import People
from cypher.auth.session_review import SessionReview
from cypher.auth.trail import AuditTrail
from cypher.maintenance.asked_reencryption import AskedReencryption
from cypher.maintenance.key_custody import KeyCustody
from cypher.maintenance.measuring import Measuring
from cypher.maintenance.proof import TrailProof


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Everything that the operators' handlers may call."""

    keys: KeyCustody
    reencryption: AskedReencryption
    limits: LimitReview
    factors: FactorReset
    people: People
    sessions: SessionReview
    trail: AuditTrail
    proof: TrailProof
    measuring: Measuring

    async def stop(self) -> None:
        """Let what must not be broken off come to its end, and break off the rest."""
        await self.reencryption.stop()
        await self.keys.finish()
