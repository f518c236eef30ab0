"""Makes the session that a login ends with: its rows in one statement, then tokens and the cache."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin, require_good
from cypher.auth.events import Event
from cypher.auth.known_devices import Entry, KnownDevices
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.refresh_tokens import hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.auth.types import Authenticated, aal_of
from cypher.errors import FlowExpired
from cypher.metrics import Metrics
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.logins import Inserted, ProvenLogin
from cypher.repositories.sessions import Session
from cypher.shared_calls import SharedCalls

#: Logins that end by one statement, and statements at once.
ENDED_TOGETHER = 50
ENDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lives without use, and at the most."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that was inserted, and the first refresh token of its family."""

    session: Session
    refresh_token: str = field(repr=False)
    refresh_cookie: bool
    device_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ending:
    """A login that is about to end; never the same as another one, whatever it says."""

    begun: BegunLogin
    amr: tuple[str, ...]
    source: Source
    entry: Entry
    refresh_token: str = field(repr=False, default_factory=new_refresh_token)


class NewSessions:
    """Insert, commit, hand over."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        access: AccessTokens,
        living: LivingSessions,
        devices: KnownDevices,
        audit: Audit,
        limits: SessionLimits,
        metrics: Metrics,
    ) -> None:
        self._db = db
        self._logins = metrics.logins
        self._access = access
        self._living = living
        self._devices = devices
        self._audit = audit
        self._limits = limits
        self._endings = SharedCalls(self._insert_together, most=ENDED_TOGETHER, turns=ENDS)

    async def insert(
        self,
        repos: Repositories,
        begun: BegunLogin,
        amr: tuple[str, ...],
        source: Source,
        *,
        trust_device: bool = False,
    ) -> NewSession:
        """Insert device, session and refresh token, in the transaction that has found the person's standing good.

        The id drawn at the start makes a second finish raise FlowExpired. `trust_device` only after a second factor.
        """
        entry = await self._devices.enter(repos, begun, source, trust=trust_device)
        ending = Ending(begun=begun, amr=amr, source=source, entry=entry)
        async with self._audit.sealed(repos, _happened([ending])) as entries:
            inserted = await repos.logins.insert_session(self._proven(ending), entries)
        new = await _judged(ending, inserted) if inserted else None
        if new is None:
            raise FlowExpired
        return new

    async def insert_at_once(self, begun: BegunLogin, amr: tuple[str, ...], source: Source) -> NewSession | None:
        """Insert the session of somebody without a device and a second factor, without a transaction of their own.

        All that end at the same time do so by one statement. None, and nothing inserted, where it takes a transaction,
        as for somebody who has a factor by now. Raises FlowExpired, AccountDisabled or AccountLocked.
        """
        ending = Ending(begun=begun, amr=amr, source=source, entry=Entry(device_id=None, token=None))
        inserted = await self._endings.get(ending)
        return await _judged(ending, inserted) if inserted else None

    async def _insert_together(self, endings: list[Ending]) -> dict[Ending, Inserted]:
        """Insert those whose person has a secret and is held by nobody else."""
        async with self._db.connection() as repos:
            found = await repos.audit_subjects.find_secrets_now({ending.begun.user_id for ending in endings})
            # One login twice, of a flow that Redis has brought back: the other one finds its session there.
            once = {ending.begun.session_id: ending for ending in endings if ending.begun.user_id in found}
            if not once:
                return {}
            secrets = {user_id: each.secret for user_id, each in found.items()}
            logins = [self._proven(ending) for ending in once.values()]
            async with self._audit.sealed(repos, _happened(once.values()), secrets) as entries:
                found_at = min(each.found_at for each in found.values())
                inserted = await repos.logins.insert_sessions(logins, entries, found_at)
        return {once[session_id]: each for session_id, each in inserted.items()}

    def _proven(self, ending: Ending) -> ProvenLogin:
        begun, source = ending.begun, ending.source
        device = begun.options.device
        return ProvenLogin(
            session_id=begun.session_id,
            user_id=begun.user_id,
            credential_id=begun.credential_id,
            sessions_revoked_at=begun.sessions_revoked_at,
            user_agent=source.user_agent,
            amr=ending.amr,
            ip_address=source.address,
            aal=aal_of(ending.amr),
            idle=self._limits.idle,
            absolute=self._limits.absolute,
            device_id=ending.entry.device_id,
            device_fingerprint=device.fingerprint if device else None,
            token_hash=hash_token(ending.refresh_token),
        )

    async def hand_over(self, new: NewSession, *, read_at: datetime) -> Authenticated:
        """Offer the session to the cache and sign its first access token; call it after the commit.

        `read_at` is a moment before the session was read.
        """
        session = new.session
        # What was proven last: the password, or a factor after it.
        self._logins.labels("success", session.amr[-1]).inc()
        await self._living.remember(session, read_at=read_at)
        return Authenticated(
            session=view_of(session),
            access_token=await self._access.issue(
                user_id=session.user_id, session_id=session.session_id, aal=session.aal, amr=session.amr
            ),
            expires_in=self._access.expires_in,
            refresh_token=new.refresh_token,
            refresh_cookie=new.refresh_cookie,
            device_token=new.device_token,
        )


def _happened(endings: Iterable[Ending]) -> list[tuple[Happening, Source]]:
    """Return what the trail says of these logins."""
    return [
        (Happening(event=event, user_id=ending.begun.user_id, session_id=ending.begun.session_id), ending.source)
        for ending in endings
        for event in (Event.LOGIN_SUCCEEDED, Event.SESSION_CREATED)
    ]


async def _judged(ending: Ending, inserted: Inserted) -> NewSession | None:
    """Return the session; None where there is none though its owner may log in. Raises what refuses them."""
    require_good(inserted.standing)
    if inserted.open is None:
        return None
    return NewSession(
        session=await inserted.open(),
        refresh_token=ending.refresh_token,
        refresh_cookie=ending.begun.options.refresh_cookie,
        device_token=ending.entry.token,
    )
