"""What a device is to a login: found again by its fingerprint, believed by its token.

A fingerprint can be had by anybody who has seen it. So it decides what the owner's list shows and nothing else: budget
and trust hang on the token, and the token of another device than the login names counts for neither.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from cypher.auth.audit import Audit, Happening
from cypher.auth.begun import BegunLogin
from cypher.auth.device_tokens import new_device_token
from cypher.auth.events import Event
from cypher.auth.refresh_tokens import hash_token
from cypher.auth.source import Source
from cypher.auth.types import SentDevice
from cypher.clock import Clock, new_id
from cypher.errors import FlowExpired
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.devices import ShownDevice


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Which device a session is of, and the token that it takes along; None where the login did not say."""

    device_id: UUID | None
    token: str | None = field(repr=False)


NO_DEVICE = Entry(device_id=None, token=None)


class KnownDevices:
    """All but `find` runs in the transaction that ends a login, which holds the person's row."""

    def __init__(self, *, db: Database[Repositories], audit: Audit, clock: Clock, lifetime: timedelta) -> None:
        """Take the `lifetime` of a token, which is that of trust as well."""
        self._db = db
        self._audit = audit
        self._clock = clock
        self._lifetime = lifetime

    async def find(self, name: str, token_hash: bytes) -> UUID | None:
        """Return the device that shows a good token of this name's owner; nothing may tell the sender what came of it.

        `name` is canonical. A token that nobody was given costs the same for every name.
        """
        async with self._db.connection() as repos:
            return await repos.devices.find_by_token_and_name(token_hash, name)

    async def skips_factor(self, repos: Repositories, begun: BegunLogin, source: Source) -> bool:
        """Tell whether the device may skip the second factor, and record that it does.

        As things stand now and not as they stood at the start: trust may have ended meanwhile.
        """
        shown = await self._shown(repos, begun)
        if shown is None or not shown.trusted:
            return False
        await self._record(repos, Event.DEVICE_TRUST_USED, begun.user_id, shown.id, source, begun.session_id)
        return True

    async def enter(self, repos: Repositories, begun: BegunLogin, source: Source, *, trust: bool) -> Entry:
        """Note the device of a login that succeeds, and give it its next token where the login named it.

        `trust` only after its owner has proven the second factor.
        """
        shown, sent = await self._shown(repos, begun), begun.options.device
        if sent is None:
            if shown is not None and begun.device_token_hash is not None:
                await repos.devices.see_device(shown.id, begun.device_token_hash)
            return Entry(device_id=shown.id if shown else None, token=None)
        device_id = await self.register(repos, begun.user_id, sent, source, session_id=begun.session_id)
        token, shown_hash = new_device_token(), begun.device_token_hash if shown else None
        if not await repos.devices.give_token(
            device_id, hash_token(token), self._lifetime, trust=trust, shown_hash=shown_hash
        ):
            raise FlowExpired
        if trust:
            await self._record(repos, Event.DEVICE_TRUSTED, begun.user_id, device_id, source, begun.session_id)
        return Entry(device_id=device_id, token=token)

    async def register(
        self, repos: Repositories, user_id: UUID, sent: SentDevice, source: Source | None, *, session_id: UUID | None
    ) -> UUID:
        """Find a device again or note a new one, which is an event; returns its id.

        A device that was revoked is not found again: when it comes back it is a new one, without trust or name.
        """
        device_id = new_id(self._clock)
        known = await repos.devices.see_fingerprint(user_id, sent.fingerprint)
        if known is None:
            known = await repos.devices.insert_device(
                device_id=device_id, user_id=user_id, fingerprint=sent.fingerprint, name=sent.name, info=sent.info
            )
        if known == device_id:
            await self._record(repos, Event.DEVICE_ADDED, user_id, device_id, source, session_id)
        elif sent.name is not None or sent.info is not None:
            await repos.devices.describe_device(known, name=sent.name, info=sent.info)
        return known

    async def _shown(self, repos: Repositories, begun: BegunLogin) -> ShownDevice | None:
        if begun.device_token_hash is None:
            return None
        sent = begun.options.device
        return await repos.devices.find_shown(
            begun.user_id, begun.device_token_hash, sent.fingerprint if sent else None
        )

    async def _record(
        self,
        repos: Repositories,
        event: Event,
        user_id: UUID,
        device_id: UUID,
        source: Source | None,
        session_id: UUID | None,
    ) -> None:
        happening = Happening(
            event=event, user_id=user_id, session_id=session_id, note=str(device_id), by_itself=source is None
        )
        await self._audit.record(repos, happening, source)
