"""Makes the session that a login ends with: its rows in one statement, then tokens and the cache."""

from dataclasses import dataclass, field
from datetime import datetime

from cypher.auth.access_tokens import AccessTokens
from cypher.auth.begun import BegunLogin, require_good
from cypher.auth.known_devices import KnownDevices
from cypher.auth.living import LivingSessions, view_of
from cypher.auth.proven_logins import Ending, ProvenLogins
from cypher.auth.source import Source
from cypher.auth.types import Authenticated
from cypher.errors import FlowExpired
from cypher.metrics import Metrics
from cypher.repositories import Repositories
from cypher.repositories.logins import Ended
from cypher.repositories.sessions import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that was inserted, and the first refresh token of its family."""

    session: Session
    refresh_token: str = field(repr=False)
    refresh_cookie: bool
    device_token: str | None = field(repr=False)


class NewSessions:
    """Insert, commit, hand over."""

    def __init__(
        self,
        *,
        proven: ProvenLogins,
        access: AccessTokens,
        living: LivingSessions,
        devices: KnownDevices,
        metrics: Metrics,
    ) -> None:
        self._proven = proven
        self._logins = metrics.logins
        self._access = access
        self._living = living
        self._devices = devices

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
        ended = await self._proven.end(repos, ending)
        new = await _new_session(ending, ended) if ended else None
        if new is None:
            raise FlowExpired
        return new

    async def insert_at_once(self, begun: BegunLogin, amr: tuple[str, ...], source: Source) -> NewSession | None:
        """Insert the session of somebody without a device and a second factor, without a transaction of their own.

        None, and nothing inserted, where it takes one, as for somebody who has a factor by now. Raises FlowExpired,
        AccountDisabled or AccountLocked.
        """
        ending = Ending(begun=begun, amr=amr, source=source)
        ended = await self._proven.end_at_once(ending)
        return await _new_session(ending, ended) if ended else None

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


async def _new_session(ending: Ending, ended: Ended) -> NewSession | None:
    """Return what was inserted, if anything; raises what refuses its owner."""
    require_good(ended.standing)
    if ended.open is None:
        return None
    return NewSession(
        session=await ended.open(),
        refresh_token=ending.refresh_token,
        refresh_cookie=ending.begun.options.refresh_cookie,
        device_token=ending.entry.token,
    )
