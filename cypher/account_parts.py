"""The composition root's part for accounts: password, name, recovery, export. Opens nothing."""

from dataclasses import dataclass

from cypher.auth.account import Account
from cypher.auth.audit import Audit
from cypher.auth.export import Export
from cypher.auth.freshness import Freshness
from cypher.auth.living import LivingSessions
from cypher.auth.opaque import OpaqueServer
from cypher.auth.password import PasswordChange
from cypher.auth.rate_limits import RateLimits
from cypher.auth.recovery import Recovery
from cypher.auth.recovery_requests import RecoveryRequests
from cypher.clock import Clock
from cypher.config import Config
from cypher.crypto.keyring import KeyRing
from cypher.ephemeral.flows import FlowStore
from cypher.postgres import Database
from cypher.repositories import Repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountParts:
    """Makes each use case of what all of them stand on."""

    config: Config
    db: Database[Repositories]
    ring: KeyRing
    clock: Clock
    audit: Audit
    flows: FlowStore
    opaque: OpaqueServer
    living: LivingSessions
    limits: RateLimits

    def password(self) -> PasswordChange:
        return PasswordChange(
            db=self.db,
            flows=self.flows,
            opaque=self.opaque,
            audit=self.audit,
            living=self.living,
            freshness=Freshness(self.config.factors.fresh),
            flow_lifetime=self.config.sessions.login_flow,
        )

    def account(self) -> Account:
        freshness = Freshness(self.config.factors.fresh)
        return Account(db=self.db, ring=self.ring, audit=self.audit, living=self.living, freshness=freshness)

    def export(self) -> Export:
        return Export(db=self.db, audit=self.audit, clock=self.clock)

    def recovery(self) -> Recovery:
        return Recovery(
            db=self.db,
            flows=self.flows,
            opaque=self.opaque,
            audit=self.audit,
            living=self.living,
            flow_lifetime=self.config.sessions.login_flow,
        )

    def recovery_requests(self) -> RecoveryRequests:
        return RecoveryRequests(
            db=self.db,
            audit=self.audit,
            limits=self.limits,
            clock=self.clock,
            has_mailer=self.config.recovery.webhook is not None,
        )
