"""The composition root's half for people and backends: the use cases, made of what is open. Opens nothing."""

from dataclasses import dataclass

from cypher.app import Resources
from cypher.auth.access_tokens import AccessTokens
from cypher.auth.account import Account
from cypher.auth.activity import Activity
from cypher.auth.devices import Devices
from cypher.auth.endings import Endings
from cypher.auth.export import Export
from cypher.auth.factors import Factors
from cypher.auth.freshness import Freshness
from cypher.auth.incidents import Incidents
from cypher.auth.known_devices import KnownDevices
from cypher.auth.living import LivingSessions
from cypher.auth.login import Login
from cypher.auth.login_limits import LoginLimits
from cypher.auth.mfa import SecondStep
from cypher.auth.new_sessions import NewSessions
from cypher.auth.opaque import OpaqueServer
from cypher.auth.password import PasswordChange
from cypher.auth.proven_logins import ProvenLogins, SessionLimits
from cypher.auth.rate_limits import RateLimits
from cypher.auth.reauthentication import Reauthentication
from cypher.auth.recovery import Recovery
from cypher.auth.recovery_requests import RecoveryRequests
from cypher.auth.registration import Registration
from cypher.auth.renewals import Renewals
from cypher.auth.second_factor import SecondFactor
from cypher.auth.service_tokens import ServiceTokens
from cypher.auth.sessions import Sessions
from cypher.auth.tokens import Tokens
from cypher.auth.totp import issuer_of
from cypher.auth.use_cases import Services
from cypher.ephemeral.flows import FlowStore
from cypher.parts import health_check, living_sessions, rate_limiter


def build_services(open_: Resources) -> Services:
    """Wire the use cases."""
    config, db, audit, shared = open_.config, open_.db, open_.audit, _shared(open_)
    access, living, endings = shared.access, shared.living, Endings(db=db, audit=audit)
    login, second_step, reauthentication = _ways_in(open_, shared)
    return Services(
        registration=_registration(open_, shared),
        login=login,
        second_step=second_step,
        reauthentication=reauthentication,
        factors=Factors(
            db=db,
            audit=audit,
            factor=shared.factor,
            freshness=shared.freshness,
            issuer=issuer_of(config.http.public_origin),
        ),
        password=_password_change(open_, shared),
        account=Account(db=db, ring=open_.ring, audit=audit, living=living, freshness=shared.freshness),
        export=Export(db=db, audit=audit, clock=open_.clock),
        recovery=_recovery(open_, shared),
        recovery_requests=RecoveryRequests(
            db=db,
            audit=audit,
            limits=shared.limits,
            clock=open_.clock,
            has_mailer=config.recovery.webhook is not None,
        ),
        devices=Devices(db=db, known=shared.devices, living=living, audit=audit),
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
        health=health_check(open_),
        incidents=Incidents(audit=audit),
        activity=Activity(db=db, audit=audit),
        rate_limits=shared.limits,
        metrics=open_.metrics,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What several use cases are made of."""

    opaque: OpaqueServer
    flows: FlowStore
    access: AccessTokens
    living: LivingSessions
    devices: KnownDevices
    factor: SecondFactor
    freshness: Freshness
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
        living=living_sessions(open_),
        devices=KnownDevices(db=open_.db, audit=open_.audit, clock=clock, lifetime=lives.device_trust),
        factor=SecondFactor(audit=open_.audit, clock=clock, limits=config.factors.limits),
        freshness=Freshness(config.factors.fresh),
        limits=RateLimits(
            limiter=rate_limiter(open_),
            config=config.limits,
            audit=open_.audit,
            clock=clock,
            metrics=open_.metrics,
        ),
    )


def _registration(open_: Resources, shared: _Shared) -> Registration:
    return Registration(
        db=open_.db,
        flows=shared.flows,
        opaque=shared.opaque,
        ring=open_.ring,
        audit=open_.audit,
        clock=open_.clock,
        is_open=open_.config.registration == "open",
        flow_lifetime=open_.config.sessions.login_flow,
    )


def _ways_in(open_: Resources, shared: _Shared) -> tuple[Login, SecondStep, Reauthentication]:
    """Wire what ends with a session that was proven: by the password, and by a factor where one is enrolled."""
    db, audit, clock, lives = open_.db, open_.audit, open_.clock, open_.config.sessions
    attempts = LoginLimits(shared.limits)
    devices = shared.devices
    limits = SessionLimits(idle=lives.idle, absolute=lives.absolute)
    proven = ProvenLogins(db=db, audit=audit, limits=limits)
    new = NewSessions(proven=proven, access=shared.access, living=shared.living, devices=devices, metrics=open_.metrics)
    renewals = Renewals(access=shared.access, living=shared.living, audit=audit)
    second_step = SecondStep(
        db=db,
        flows=shared.flows,
        factor=shared.factor,
        proven=proven,
        new=new,
        renewals=renewals,
        attempts=attempts,
        audit=audit,
        clock=clock,
        flow_lifetime=open_.config.factors.flow,
        metrics=open_.metrics,
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
        devices=devices,
        flow_lifetime=lives.login_flow,
        metrics=open_.metrics,
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


def _password_change(open_: Resources, shared: _Shared) -> PasswordChange:
    return PasswordChange(
        db=open_.db,
        flows=shared.flows,
        opaque=shared.opaque,
        audit=open_.audit,
        living=shared.living,
        freshness=shared.freshness,
        flow_lifetime=open_.config.sessions.login_flow,
    )


def _recovery(open_: Resources, shared: _Shared) -> Recovery:
    return Recovery(
        db=open_.db,
        flows=shared.flows,
        opaque=shared.opaque,
        audit=open_.audit,
        living=shared.living,
        flow_lifetime=open_.config.sessions.login_flow,
    )
