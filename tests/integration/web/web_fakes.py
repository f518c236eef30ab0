"""A running server over use cases that only say what they were called with: HTTP's shape and nothing else."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID

from aiohttp import ClientSession, web

from cypher.auth.account import AccountView
from cypher.auth.begun import LoginOptions
from cypher.auth.entries import ActorView, EntryPage, EntryView
from cypher.auth.export import AccountExport
from cypher.auth.happenings import Details
from cypher.auth.source import Source
from cypher.auth.types import (
    AccessClaims,
    Authenticated,
    DeviceChange,
    Health,
    Jwk,
    ListedDevice,
    ListedSession,
    LoginStarted,
    MfaRequired,
    Reauthenticated,
    Refreshed,
    RegistrationStarted,
    SessionView,
    TotpEnrolment,
    Validated,
)
from cypher.auth.use_cases import Services
from cypher.config import (
    AuditConfig,
    Config,
    HttpConfig,
    KeysConfig,
    LogConfig,
    PostgresConfig,
    RedisConfig,
    SessionsConfig,
)
from cypher.config.factors import FactorLimits, FactorsConfig
from cypher.config.limits import Category, LimitsConfig
from cypher.config.operators import OperatorsConfig
from cypher.config.recovery import RecoveryConfig
from cypher.errors import InsufficientScope, NotFound, RateLimited, Unauthenticated
from cypher.metrics import Metrics
from cypher.repositories.devices import Device, DeviceInfo
from cypher.repositories.factors import EnrolledFactors
from cypher.web.server import WebServer
from tests.wire import Raw, send

ACCESS_TOKEN = "header.payload.signature"
SERVICE_TOKEN = "cys_service"
DEVICE_ID = UUID("01900000-0000-7000-8000-000000000003")
USER_ID = UUID("01900000-0000-7000-8000-000000000001")
SESSION_ID = UUID("01900000-0000-7000-8000-000000000002")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SESSION = SessionView(
    id=SESSION_ID,
    user_id=USER_ID,
    username="alice",
    aal=1,
    amr=("opaque",),
    authenticated_at=NOW,
    created_at=NOW,
    expires_at=NOW + timedelta(days=30),
    idle_expires_at=NOW + timedelta(days=7),
)
ACCOUNT = AccountView(
    id=USER_ID, username="alice", totp_enabled=False, created_at=NOW, password_changed_at=NOW, last_login_at=None
)
EXPORT = AccountExport(
    exported_at=NOW,
    most_of_each=1000,
    account=ACCOUNT,
    sessions=[],
    devices=[],
    refresh_tokens=[],
    recovery_codes=[],
    recovery_tokens=[],
    wrong_codes=[NOW],
)
DEVICE = Device(
    id=DEVICE_ID,
    user_id=USER_ID,
    name="laptop",
    info=DeviceInfo(model="x"),
    trusted_until=None,
    first_seen_at=NOW,
    last_seen_at=NOW,
    revoked_at=None,
)
CLAIMS = AccessClaims(sub=USER_ID, sid=SESSION_ID, jti="jti-1", iat=1, exp=301, aal=1, amr=("opaque",))


@dataclass
class Fakes:
    """Plays every use case. `failure` is raised by the next ones, `entered` is set once one runs and waits."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    failure: BaseException | None = None
    gate: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    asks_for_a_factor: bool = False
    begun_with: LoginOptions = field(default_factory=LoginOptions)
    counted: list[Category | str] = field(default_factory=list)
    over_the_limit: bool = False
    state: Health = field(default_factory=lambda: Health(postgres=True, redis=True, migrations=True, keys=True))

    async def _called(self, *call: object) -> None:
        self.calls.append(call)
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure

    async def start_registration(self, username: str, request: bytes, source: Source) -> RegistrationStarted:
        await self._called("registration.start", username, request, source)
        return RegistrationStarted(flow_id="flow", registration_response=b"\xff" * 64, expires_in=60)

    async def finish_registration(self, flow_id: str, record: bytes, source: Source) -> SimpleNamespace:
        await self._called("registration.finish", flow_id, record, source)
        return SimpleNamespace(id=USER_ID, username="alice", created_at=NOW, opaque_setup_id="secret")

    async def start_login(
        self, username: str, ke1: bytes, source: Source, device_token: str | None = None
    ) -> LoginStarted:
        await self._called("login.start", username, ke1, source, device_token)
        return LoginStarted(flow_id="flow", ke2=b"\x01" * 320, expires_in=60)

    async def finish_login(
        self, flow_id: str, ke3: bytes, source: Source, options: LoginOptions
    ) -> Authenticated | MfaRequired:
        await self._called("login.finish", flow_id, ke3, source, options)
        if self.asks_for_a_factor:
            return MfaRequired(mfa_token="mfa", expires_in=300)
        return self._authenticated(options)

    async def finish_second_step(
        self, mfa_token: str, method: str, code: str, source: Source, *, trust_device: bool
    ) -> Authenticated:
        await self._called("second_step.finish", mfa_token, method, code, source, trust_device)
        return self._authenticated(self.begun_with)

    def _authenticated(self, options: LoginOptions) -> Authenticated:
        return Authenticated(
            session=SESSION,
            access_token=ACCESS_TOKEN,
            expires_in=300,
            refresh_token="cyr_1",
            refresh_cookie=options.refresh_cookie,
            device_token="cyd_1" if options.device else None,
        )

    async def start_reauthentication(self, session: SessionView, ke1: bytes, source: Source) -> LoginStarted:
        await self._called("reauthentication.start", session, ke1, source)
        return LoginStarted(flow_id="flow", ke2=b"\x01" * 320, expires_in=60)

    async def finish_reauthentication(
        self, session: SessionView, flow_id: str, ke3: bytes, source: Source
    ) -> Reauthenticated | MfaRequired:
        await self._called("reauthentication.finish", session, flow_id, ke3, source)
        if self.asks_for_a_factor:
            return MfaRequired(mfa_token="mfa", expires_in=300)
        return Reauthenticated(session=SESSION, access_token=ACCESS_TOKEN, expires_in=300)

    async def show_factors(self, session: SessionView) -> EnrolledFactors:
        await self._called("factors.show", session)
        return EnrolledFactors(totp_enabled=True, totp_pending=False, recovery_codes=9)

    async def enrol(self, session: SessionView, source: Source) -> TotpEnrolment:
        await self._called("factors.enrol", session, source)
        return TotpEnrolment(secret="A" * 32, otpauth_uri="otpauth://totp/x", qr_svg="<svg/>")

    async def confirm(self, session: SessionView, code: str, source: Source) -> tuple[str, ...]:
        await self._called("factors.confirm", session, code, source)
        return ("one", "two")

    async def remove(self, session: SessionView, source: Source) -> None:
        await self._called("factors.remove", session, source)

    async def renew_codes(self, session: SessionView, source: Source) -> tuple[str, ...]:
        await self._called("factors.renew_codes", session, source)
        return ("three", "four")

    async def start_password(self, session: SessionView, request: bytes) -> RegistrationStarted:
        await self._called("password.start", session, request)
        return RegistrationStarted(flow_id="flow", registration_response=b"\xff" * 64, expires_in=60)

    async def finish_password(
        self, session: SessionView, flow_id: str, record: bytes, *, revoke_others: bool, source: Source
    ) -> None:
        await self._called("password.finish", session, flow_id, record, revoke_others)

    async def show_account(self, session: SessionView) -> AccountView:
        await self._called("account.show", session)
        return ACCOUNT

    async def rename(self, session: SessionView, username: str, source: Source) -> AccountView:
        await self._called("account.rename", session, username, source)
        return ACCOUNT

    async def delete_account(self, session: SessionView, source: Source) -> None:
        await self._called("account.delete", session, source)

    async def export(self, session: SessionView, source: Source) -> AccountExport:
        await self._called("export.export", session, source)
        return EXPORT

    async def request_recovery(self, username: str, source: Source) -> None:
        await self._called("recovery_requests.request", username, source)

    async def start_recovery(self, username: str, token: str, request: bytes) -> RegistrationStarted:
        await self._called("recovery.start", username, token, request)
        return RegistrationStarted(flow_id="flow", registration_response=b"\xff" * 64, expires_in=60)

    async def finish_recovery(self, flow_id: str, record: bytes, source: Source) -> None:
        await self._called("recovery.finish", flow_id, record, source)

    async def list_devices(self, session: SessionView) -> list[ListedDevice]:
        await self._called("devices.list_devices", session)
        return [ListedDevice(device=DEVICE, current=True)]

    async def change_device(
        self, session: SessionView, device_id: UUID, change: DeviceChange, source: Source
    ) -> ListedDevice:
        await self._called("devices.change", device_id, change, source)
        if device_id == USER_ID:
            raise NotFound
        return ListedDevice(device=DEVICE, current=True)

    async def revoke_device(self, session: SessionView, device_id: UUID, source: Source) -> None:
        await self._called("devices.revoke", device_id, source)

    async def list_activity(self, session: SessionView, *, cursor: str | None, limit: int, source: Source) -> EntryPage:
        await self._called("activity.list_entries", session, cursor, limit, source)
        entry = EntryView(
            id=SESSION_ID,
            occurred_at=NOW,
            action="auth.login.succeeded",
            outcome="success",
            reason=None,
            severity="info",
            actor=ActorView(type="user", id=None),
            user_id=USER_ID,
            session_id=SESSION_ID,
            request_id="request-1",
            details=Details(address="::1", note="secret") if cursor is None else None,
        )
        return EntryPage(items=[entry], next_cursor="next" if cursor is None else None)

    async def validate(self, access_token: str) -> Validated:
        await self._called("sessions.validate", access_token)
        if access_token != ACCESS_TOKEN:
            raise Unauthenticated
        return Validated(session=SESSION, claims=CLAIMS)

    async def end_current(self, access_token: str, source: Source) -> None:
        await self._called("sessions.end_current", access_token, source)
        if access_token != ACCESS_TOKEN:
            raise Unauthenticated

    async def list_sessions(self, validated: Validated) -> list[ListedSession]:
        await self._called("sessions.list_sessions", validated)
        return [ListedSession(session=SESSION, current=True, last_seen_at=NOW, ip_address="::1", user_agent="x")]

    async def end(self, validated: Validated, session_id: UUID, source: Source) -> None:
        await self._called("sessions.end", session_id, source)
        if session_id != SESSION_ID:
            raise NotFound

    async def end_many(self, validated: Validated, scope: str, source: Source) -> int:
        await self._called("sessions.end_many", scope, source)
        return 3

    async def refresh(self, refresh_token: str, source: Source) -> Refreshed:
        await self._called("tokens.refresh", refresh_token, source)
        return Refreshed(access_token=ACCESS_TOKEN, expires_in=300, refresh_token="cyr_2")

    async def introspect(self, token: str) -> AccessClaims | None:
        await self._called("tokens.introspect", token)
        return CLAIMS if token == ACCESS_TOKEN else None

    async def revoke(self, token: str, source: Source) -> None:
        await self._called("tokens.revoke", token, source)

    async def authenticate(self, bearer: str, scope: str) -> None:
        await self._called("service_tokens.authenticate", bearer, scope)
        if bearer == "cys_other_scope":
            raise InsufficientScope
        if bearer != SERVICE_TOKEN:
            raise Unauthenticated

    async def check(self) -> Health:
        await self._called("health.check")
        return self.state

    async def admit_address(self, category: Category, source: Source) -> None:
        self._count(category)

    async def admit_bad_token(self, source: Source) -> None:
        self._count("bad token")

    def _count(self, what: Category | str) -> None:
        self.counted.append(what)
        if self.over_the_limit:
            raise RateLimited(
                policy="some", limit=5, window=timedelta(hours=1), retry_after=timedelta(milliseconds=59_001)
            )

    def jwks(self) -> list[Jwk]:
        return [Jwk(kid="key-1", x="AAAA")]

    def public_key(self) -> bytes:
        return bytes(range(32))

    def services(self) -> Services:
        parts = SimpleNamespace(
            metrics=Metrics(),
            registration=SimpleNamespace(start=self.start_registration, finish=self.finish_registration),
            login=SimpleNamespace(start=self.start_login, finish=self.finish_login),
            second_step=SimpleNamespace(finish=self.finish_second_step),
            reauthentication=SimpleNamespace(start=self.start_reauthentication, finish=self.finish_reauthentication),
            factors=SimpleNamespace(
                show=self.show_factors,
                enrol=self.enrol,
                confirm=self.confirm,
                remove=self.remove,
                renew_codes=self.renew_codes,
            ),
            password=SimpleNamespace(start=self.start_password, finish=self.finish_password),
            account=SimpleNamespace(show=self.show_account, rename=self.rename, delete=self.delete_account),
            export=self,
            recovery=SimpleNamespace(start=self.start_recovery, finish=self.finish_recovery),
            recovery_requests=SimpleNamespace(request=self.request_recovery),
            devices=SimpleNamespace(
                list_devices=self.list_devices, change=self.change_device, revoke=self.revoke_device
            ),
            sessions=self,
            tokens=self,
            service_tokens=self,
            opaque=self,
            health=self,
            rate_limits=self,
            activity=SimpleNamespace(list_entries=self.list_activity),
        )
        return cast(Services, parts)


@dataclass
class Running:
    """The server under test and a client without opinions."""

    server: WebServer
    app: web.Application
    client: ClientSession

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"

    async def send(self, sent: bytes, *, until_closed: bool = False) -> list[Raw]:
        """Send bytes, read what comes until the server falls silent or hangs up; every answer found in it."""
        return await send(self.server.port, sent, until_closed=until_closed)


def config_of(**http: object) -> Config:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 0,
        "public_origin": "http://127.0.0.1",
        "allowed_origins": frozenset(),
        "trusted_proxies": (),
        "access_token_audience": "http://127.0.0.1",
    }
    day = timedelta(days=1)
    return Config(
        postgres=PostgresConfig(),
        redis=RedisConfig(),
        keys=KeysConfig(
            master_password=None,
            store="directory",
            path=Path("keys"),
            rotation_age=day,
            rotation_operations=1,
            destroy_delay=day,
            reencrypt_background=False,
        ),
        http=HttpConfig(**(settings | http)),  # type: ignore[arg-type]
        operators=OperatorsConfig(host="127.0.0.1", port=None),
        sessions=SessionsConfig(
            access_token=day,
            refresh_grace=day,
            idle=day,
            absolute=day,
            cache=timedelta(seconds=30),
            login_flow=day,
            device_trust=day,
        ),
        factors=FactorsConfig(flow=day, fresh=day, limits=FactorLimits(short=None, day=None, total=100)),
        limits=LimitsConfig(),
        audit=AuditConfig(),
        registration="open",
        recovery=RecoveryConfig(),
        embedded_path=Path(".cypher"),
        log=LogConfig(level="info", format="human"),
    )
