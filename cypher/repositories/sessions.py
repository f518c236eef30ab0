"""Sessions: where they come from is sealed, when they end is not. A session that has ended never lives again."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.postgres import Executor, Record
from cypher.repositories.devices import of_person
from cypher.repositories.users import open_username

sql = sqlfiles.load("sessions")

#: The field of the blind index of the fingerprint that a login came with.
FINGERPRINT = "user_sessions.device_fingerprint"


class SessionData(msgspec.Struct, frozen=True):
    """The JSON in `session_data`."""

    user_agent: str
    amr: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session in whatever state, with its owner's name."""

    session_id: UUID
    user_id: UUID
    username: str  #: opened here, sealed in the owner's row
    user_agent: str  #: opened here, sealed in the row
    amr: tuple[str, ...]  #: likewise; the methods of the login (RFC 8176)
    ip_address: str  #: likewise
    device_id: UUID | None
    aal: int
    authenticated_at: datetime
    created_at: datetime
    last_seen_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None


class SessionRepository:
    """The table `user_sessions`."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex) -> None:
        self._run = run
        self._codec = codec
        self._index = index

    async def insert_session(
        self,
        *,
        session_id: UUID,
        user_id: UUID,
        user_agent: str,
        amr: tuple[str, ...],
        ip_address: str,
        aal: int,
        idle: timedelta,
        absolute: timedelta,
        device_id: UUID | None = None,
        device_fingerprint: str | None = None,
    ) -> bool:
        """Insert a session that begins now; False, and nothing is changed, when the id is there already."""
        sealed_data = await self._seal_data(session_id, SessionData(user_agent, amr))
        sealed_address = await self._codec.seal(ip_address.encode(), Cell("user_sessions", "ip_address", session_id))
        inserted = await self._run.execrows(
            sql.insert_session,
            session_id,
            user_id,
            sealed_data.ciphertext,
            sealed_data.key_id,
            sealed_address.ciphertext,
            sealed_address.key_id,
            aal,
            idle,
            absolute,
            device_id,
            *await self._seal_fingerprint(session_id, user_id, device_fingerprint),
        )
        return inserted == 1

    async def get_session(self, session_id: UUID) -> Session | None:
        """Return a session whatever its state."""
        row = await self._run.one(sql.get_session, session_id)
        return await self._session(row) if row else None

    async def touch_session(self, session_id: UUID, idle: timedelta) -> tuple[Session, tuple[str, ...]] | None:
        """Prolong a living session by `idle` from now; returns it with the ids of its ended, unexpired tokens.

        None for a session that is over, unknown, or of somebody whose account is disabled.
        """
        row = await self._run.one(sql.touch_session, session_id, idle)
        return (await self._session(row), tuple(row["ended_jtis"])) if row else None

    async def is_fresh(self, session_id: UUID, within: timedelta) -> bool | None:
        """Tell whether all that its owner can prove was proven within `within`; None for a session that is over."""
        found = await self._run.value(sql.is_fresh, session_id, within)
        return found if isinstance(found, bool) else None

    async def set_authenticated(self, session: Session, *, amr: tuple[str, ...], aal: int) -> Session | None:
        """Renew the proof of a session; None when it is over, or was renewed since it was as it is handed in."""
        sealed = await self._seal_data(session.session_id, SessionData(session.user_agent, amr))
        authenticated_at = await self._run.value(
            sql.set_authenticated,
            session.session_id,
            session.user_id,
            session.authenticated_at,
            aal,
            sealed.ciphertext,
            sealed.key_id,
        )
        if not isinstance(authenticated_at, datetime):
            return None
        return replace(session, authenticated_at=authenticated_at, aal=aal, amr=amr)

    async def list_live_sessions(self, user_id: UUID) -> list[Session]:
        """Return a person's living sessions, newest first, 100 at most."""
        return [await self._session(row) for row in await self._run.many(sql.list_live_sessions, user_id)]

    async def revoke_session(self, session_id: UUID, user_id: UUID, reason: str) -> bool:
        """End a session of this person; True when this call ended it."""
        return await self._run.execrows(sql.revoke_session, session_id, user_id, reason) == 1

    async def revoke_sessions(
        self, user_id: UUID, *, keep: UUID | None, reason: str, device_id: UUID | None = None
    ) -> list[UUID]:
        """End a person's living sessions, all or all but one, or those of a device; returns the ids of those it ended.

        Hold the person's row before, or a login under way makes a session that this does not see.
        """
        rows = await self._run.many(sql.revoke_sessions, user_id, keep, reason, device_id)
        return [row["session_id"] for row in rows]

    async def list_recently_revoked(self, user_id: UUID) -> list[UUID]:
        """Return the ids of a person's sessions that ended in the last 10 minutes."""
        return [row["session_id"] for row in await self._run.many(sql.list_recently_revoked, user_id)]

    async def _seal_data(self, session_id: UUID, data: SessionData) -> Sealed:
        return await self._codec.seal(msgspec.json.encode(data), Cell("user_sessions", "session_data", session_id))

    async def _seal_fingerprint(
        self, session_id: UUID, user_id: UUID, fingerprint: str | None
    ) -> tuple[str | None, str | None, bytes | None]:
        if fingerprint is None:
            return None, None, None
        cell = Cell("user_sessions", "device_fingerprint", session_id)
        sealed = await self._codec.seal(fingerprint.encode(), cell)
        return sealed.ciphertext, sealed.key_id, self._index.index(of_person(user_id, fingerprint), FINGERPRINT)

    async def _session(self, row: Record) -> Session:
        session_id: UUID = row["session_id"]
        data_cell = Cell("user_sessions", "session_data", session_id)
        data = await self._codec.open(Sealed(row["session_data"], row["session_data_key_id"]), data_cell)
        address_cell = Cell("user_sessions", "ip_address", session_id)
        address = await self._codec.open(Sealed(row["ip_address"], row["ip_address_key_id"]), address_cell)
        opened = msgspec.json.decode(data, type=SessionData)
        return Session(
            session_id=session_id,
            user_id=row["user_id"],
            username=await open_username(self._codec, row, row["user_id"]),
            user_agent=opened.user_agent,
            amr=opened.amr,
            ip_address=address.decode(),
            device_id=row["device_id"],
            aal=row["aal"],
            authenticated_at=row["authenticated_at"],
            created_at=row["created_at"],
            last_seen_at=row["last_seen_at"],
            idle_expires_at=row["idle_expires_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
            revoked_reason=row["revoked_reason"],
        )
