"""Ends logins whose password is proven: by one statement for all that come together and need no transaction."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin
from cypher.auth.events import Event
from cypher.auth.known_devices import NO_DEVICE, Entry
from cypher.auth.refresh_tokens import hash_token, new_refresh_token
from cypher.auth.source import Source
from cypher.auth.types import aal_of
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.logins import Ended, ProvenLogin
from cypher.shared_calls import SharedCalls

#: Logins that end by one statement, and statements at once.
TOGETHER = 50
TURNS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lives without use, and at the most."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ending:
    """A login that is to end, or to ask for the second factor; never the same as another one, whatever it says."""

    begun: BegunLogin
    amr: tuple[str, ...]
    source: Source
    asks: bool = False
    entry: Entry = NO_DEVICE
    refresh_token: str = field(repr=False, default_factory=new_refresh_token)

    def happened(self) -> Iterable[tuple[Happening, Source]]:
        """Return what the trail says of it."""
        ends = (Event.LOGIN_SUCCEEDED, Event.SESSION_CREATED)
        for event in (Event.FACTOR_ASKED,) if self.asks else ends:
            yield Happening(event=event, user_id=self.begun.user_id, session_id=self.begun.session_id), self.source


class ProvenLogins:
    """The rows of a login's end."""

    def __init__(self, *, db: Database[Repositories], audit: Audit, limits: SessionLimits) -> None:
        self._db = db
        self._audit = audit
        self._limits = limits
        self._calls = SharedCalls(self._end_together, most=TOGETHER, turns=TURNS)

    async def end(self, repos: Repositories, ending: Ending) -> Ended | None:
        """End it, or ask, in the transaction that holds its owner's row; None when there is no such person."""
        async with self._audit.sealed(repos, ending.happened()) as entries:
            return await repos.logins.end_login(self._login(ending), entries)

    async def end_at_once(self, ending: Ending) -> Ended | None:
        """End a login without a device; None, and nothing was done, where it takes a transaction."""
        return await self._calls.get(ending)

    async def _end_together(self, endings: list[Ending]) -> dict[Ending, Ended]:
        """End those whose owner has a secret and is held by nobody else."""
        async with self._db.connection() as repos:
            found = await repos.audit_subjects.find_secrets_now({ending.begun.user_id for ending in endings})
            # One login twice, of a flow that Redis has brought back: the other one finds its session there.
            once = {ending.begun.session_id: ending for ending in endings if ending.begun.user_id in found}
            if not once:
                return {}
            happened = [each for ending in once.values() for each in ending.happened()]
            secrets = {user_id: each.secret for user_id, each in found.items()}
            async with self._audit.sealed(repos, happened, secrets) as entries:
                logins = [self._login(ending) for ending in once.values()]
                found_at = min(each.found_at for each in found.values())
                ended = await repos.logins.end_logins(logins, entries, found_at)
        return {once[session_id]: each for session_id, each in ended.items()}

    def _login(self, ending: Ending) -> ProvenLogin:
        begun, source, device = ending.begun, ending.source, ending.begun.options.device
        return ProvenLogin(
            session_id=begun.session_id,
            asks=ending.asks,
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
