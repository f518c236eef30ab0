"""One record type and one repository for each table, over `sql/` and the codec. None begins or ends a transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.postgres import Executor
from cypher.repositories.accounts import AccountRepository
from cypher.repositories.audit import AuditRepository
from cypher.repositories.audit_seals import AuditSealRepository
from cypher.repositories.audit_subjects import AuditSubjectRepository
from cypher.repositories.blacklist import BlacklistRepository
from cypher.repositories.deployment import DeploymentRepository
from cypher.repositories.devices import DeviceRepository
from cypher.repositories.factors import FactorRepository
from cypher.repositories.indexed_columns import IndexedColumnsRepository
from cypher.repositories.newcomers import NewcomerRepository
from cypher.repositories.recovery_tokens import RecoveryTokenRepository
from cypher.repositories.refresh_tokens import RefreshTokenRepository
from cypher.repositories.sealed_columns import SealedColumnsRepository
from cypher.repositories.service_tokens import ServiceTokenRepository
from cypher.repositories.session_fields import OpenedSessions
from cypher.repositories.sessions import SessionRepository
from cypher.repositories.trail import TrailRepository
from cypher.repositories.users import Decoy, UserRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """All tables over one connection."""

    users: UserRepository
    accounts: AccountRepository
    newcomers: NewcomerRepository
    factors: FactorRepository
    devices: DeviceRepository
    sessions: SessionRepository
    refresh_tokens: RefreshTokenRepository
    recovery_tokens: RecoveryTokenRepository
    blacklist: BlacklistRepository
    service_tokens: ServiceTokenRepository
    audit: AuditRepository
    audit_seals: AuditSealRepository
    trail: TrailRepository
    audit_subjects: AuditSubjectRepository
    deployment: DeploymentRepository
    sealed_columns: SealedColumnsRepository
    indexed_columns: IndexedColumnsRepository


def repositories_over(ring: KeyRing, codec: FieldCodec, index: BlindIndex) -> Callable[[Executor], Repositories]:
    """Return what makes repositories over a connection."""
    decoy, opened = Decoy(codec), OpenedSessions(codec)

    def over(run: Executor) -> Repositories:
        return Repositories(
            users=UserRepository(run, codec, index, decoy),
            accounts=AccountRepository(run, codec, index),
            newcomers=NewcomerRepository(run, codec, index),
            factors=FactorRepository(run, codec),
            devices=DeviceRepository(run, codec, index),
            sessions=SessionRepository(run, codec, index, opened),
            refresh_tokens=RefreshTokenRepository(run, codec),
            recovery_tokens=RecoveryTokenRepository(run, index),
            blacklist=BlacklistRepository(run),
            service_tokens=ServiceTokenRepository(run),
            audit=AuditRepository(run, codec, ring),
            audit_seals=AuditSealRepository(run),
            trail=TrailRepository(run, codec, ring),
            audit_subjects=AuditSubjectRepository(run, codec),
            deployment=DeploymentRepository(run),
            sealed_columns=SealedColumnsRepository(run),
            indexed_columns=IndexedColumnsRepository(run, codec, index),
        )

    return over
