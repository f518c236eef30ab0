"""One record type and one repository for each table, over `sql/` and the codec. None begins or ends a transaction."""

from collections.abc import Callable
from functools import cached_property

from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.postgres import Executor
from cypher.repositories.accounts import AccountRepository
from cypher.repositories.audit import AuditRepository
from cypher.repositories.audit_seals import AuditSealRepository
from cypher.repositories.audit_subjects import AuditSubjectRepository
from cypher.repositories.backups import BackupRepository
from cypher.repositories.blacklist import BlacklistRepository
from cypher.repositories.deployment import DeploymentRepository
from cypher.repositories.devices import DeviceRepository
from cypher.repositories.factors import FactorRepository
from cypher.repositories.indexed_columns import IndexedColumnsRepository
from cypher.repositories.logins import LoginRepository
from cypher.repositories.newcomers import NewcomerRepository
from cypher.repositories.recovery_tokens import RecoveryTokenRepository
from cypher.repositories.refresh_tokens import RefreshTokenRepository
from cypher.repositories.sealed_columns import SealedColumnsRepository
from cypher.repositories.service_tokens import ServiceTokenRepository
from cypher.repositories.session_fields import OpenedSessions
from cypher.repositories.sessions import SessionRepository
from cypher.repositories.trail import TrailRepository
from cypher.repositories.users import Decoy, UserRepository


class Repositories:
    """All tables over one connection. A transaction asks for a few: all of them would take 10 µs to make."""

    def __init__(
        self, run: Executor, ring: KeyRing, codec: FieldCodec, index: BlindIndex, decoy: Decoy, opened: OpenedSessions
    ) -> None:
        """Take what is shared by all connections; call `repositories_over`."""
        self._run = run
        self._ring = ring
        self._codec = codec
        self._index = index
        self._decoy = decoy
        self._opened = opened

    @cached_property
    def users(self) -> UserRepository:
        return UserRepository(self._run, self._codec, self._index, self._decoy)

    @cached_property
    def accounts(self) -> AccountRepository:
        return AccountRepository(self._run, self._codec, self._index)

    @cached_property
    def newcomers(self) -> NewcomerRepository:
        return NewcomerRepository(self._run, self._codec, self._index)

    @cached_property
    def factors(self) -> FactorRepository:
        return FactorRepository(self._run, self._codec)

    @cached_property
    def devices(self) -> DeviceRepository:
        return DeviceRepository(self._run, self._codec, self._index)

    @cached_property
    def sessions(self) -> SessionRepository:
        return SessionRepository(self._run, self._codec, self._opened)

    @cached_property
    def logins(self) -> LoginRepository:
        return LoginRepository(self._run, self._codec, self._index)

    @cached_property
    def refresh_tokens(self) -> RefreshTokenRepository:
        return RefreshTokenRepository(self._run, self._codec)

    @cached_property
    def recovery_tokens(self) -> RecoveryTokenRepository:
        return RecoveryTokenRepository(self._run, self._index)

    @cached_property
    def blacklist(self) -> BlacklistRepository:
        return BlacklistRepository(self._run)

    @cached_property
    def service_tokens(self) -> ServiceTokenRepository:
        return ServiceTokenRepository(self._run)

    @cached_property
    def audit(self) -> AuditRepository:
        return AuditRepository(self._run, self._codec, self._ring)

    @cached_property
    def audit_seals(self) -> AuditSealRepository:
        return AuditSealRepository(self._run)

    @cached_property
    def trail(self) -> TrailRepository:
        return TrailRepository(self._run, self._codec, self._ring)

    @cached_property
    def audit_subjects(self) -> AuditSubjectRepository:
        return AuditSubjectRepository(self._run, self._codec)

    @cached_property
    def deployment(self) -> DeploymentRepository:
        return DeploymentRepository(self._run)

    @cached_property
    def sealed_columns(self) -> SealedColumnsRepository:
        return SealedColumnsRepository(self._run)

    @cached_property
    def indexed_columns(self) -> IndexedColumnsRepository:
        return IndexedColumnsRepository(self._run, self._codec, self._index)

    @cached_property
    def backups(self) -> BackupRepository:
        return BackupRepository(self._run)


def repositories_over(ring: KeyRing, codec: FieldCodec, index: BlindIndex) -> Callable[[Executor], Repositories]:
    """Return what makes repositories over a connection."""
    decoy, opened = Decoy(codec), OpenedSessions(codec)
    return lambda run: Repositories(run, ring, codec, index, decoy, opened)
