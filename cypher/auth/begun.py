"""What a login has shown so far, and what it must still find unchanged when it ends."""

from datetime import datetime
from uuid import UUID

import msgspec

from cypher.auth.login_limits import Hits
from cypher.auth.types import SentDevice
from cypher.errors import AccountDisabled, AccountLocked, FlowExpired
from cypher.repositories import Repositories
from cypher.repositories.sessions import Session
from cypher.repositories.users import Standing


class LoginOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the client chose as it sent its password, for the answer that comes after the second factor."""

    device: SentDevice | None = None  #: from which it says that it comes; it is then given a token
    refresh_cookie: bool = False


class BegunLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A login, or the re-authentication of a session, whose password is right. Travels sealed through Redis."""

    session_id: UUID  #: drawn as a login begins; of the living session for a re-authentication
    authenticated_at: datetime | None  #: when that living session was proven last; None for a login
    user_id: UUID
    credential_id: bytes  #: 16 bytes
    sessions_revoked_at: datetime | None
    hits: Hits = ()  #: what the attempt was counted as, to be taken back when the login is finished
    device_token_hash: bytes | None = None  #: of what the login began with, whether or not it is any good
    options: LoginOptions = LoginOptions()

    @property
    def has_device(self) -> bool:
        """Whether it shows a device's token or names a device, good or not."""
        return self.options.device is not None or self.device_token_hash is not None


async def require_standing(repos: Repositories, begun: BegunLogin) -> Standing:
    """Hold the person's row and refuse what changed since the login began.

    Raises FlowExpired, AccountDisabled or AccountLocked.
    """
    standing = await repos.users.lock_standing(begun.user_id, begun.credential_id, begun.sessions_revoked_at)
    if standing is None:
        raise FlowExpired
    require_good(standing)
    return standing


def require_good(standing: Standing) -> None:
    """Raise FlowExpired, AccountDisabled or AccountLocked for who may not log in."""
    if not standing.current:
        raise FlowExpired
    if not standing.is_active:
        raise AccountDisabled
    if standing.locked:
        raise AccountLocked


async def require_unfinished(repos: Repositories, begun: BegunLogin) -> Session | None:
    """Return the session that is to be proven again, None for a login; raises FlowExpired where it has ended before.

    A login that has ended has made its session; a re-authentication has moved the moment of the last proof. Redis may
    bring a used flow back, but neither of these. Hold the person's row before.
    """
    session = await repos.sessions.get_session(begun.session_id)
    if begun.authenticated_at != (session.authenticated_at if session else None):
        raise FlowExpired
    return session
