"""What logins come to once the password is proven: a session, or the question for the second factor."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec
from cypher.postgres import Executor, Record
from cypher.repositories.devices import of_person
from cypher.repositories.refresh_tokens import TokenMetadata, seal_metadata
from cypher.repositories.rows import Row, as_json
from cypher.repositories.session_fields import SessionData, SessionFields, seal_data
from cypher.repositories.sessions import Session, session_of
from cypher.repositories.users import Standing, open_username, standing_of

sql = sqlfiles.load("logins")

#: After this many logins are sealed, about a millisecond, the requests of the same process have their turn.
SLICE = 10
#: The field of the blind index of the fingerprint that a login came with.
FINGERPRINT = "user_sessions.device_fingerprint"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenLogin:
    """What is inserted as a login ends, and what must still hold then, see `Standing`."""

    session_id: UUID  #: drawn as the login began: it makes one session at most
    asks: bool = False  #: for the second factor, and makes no session yet
    user_id: UUID
    credential_id: bytes  #: 16 bytes, by which the password was proven
    sessions_revoked_at: datetime | None
    user_agent: str
    amr: tuple[str, ...]
    ip_address: str
    aal: int
    idle: timedelta
    absolute: timedelta
    device_id: UUID | None = None
    device_fingerprint: str | None = None
    token_hash: bytes  #: 32 bytes, of the first refresh token


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a login came to."""

    standing: Standing
    asked: bool  #: whether it stands in the trail that it goes on with the second factor
    #: Opens the owner's name; raises FieldDoesNotOpen. None, and nothing was inserted, for a standing that is not good
    #: or an id that is there.
    open: Callable[[], Awaitable[Session]] | None


class LoginRepository:
    """The one statement of `sql/logins.sql`."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex) -> None:
        self._run = run
        self._codec = codec
        self._index = index

    async def end_login(self, login: ProvenLogin, entries: Sequence[Row] = ()) -> Ended | None:
        """End the login of somebody whose row is held; None when there is no such person."""
        return (await self.end_logins([login], entries)).get(login.session_id)

    async def end_logins(
        self, logins: Sequence[ProvenLogin], entries: Sequence[Row] = (), found_at: datetime | None = None
    ) -> dict[UUID, Ended]:
        """Insert sessions that begin now, of those owners who may log in; no two may have the same id.

        With each come its first refresh token, its owner's last login, and those `entries` of the trail that name it:
        all or nothing. Of a login that asks, the entries alone, if its owner may log in and has a second factor.
        Left out is whose owner is not there, or is held by somebody else.
        Without a transaction around it `found_at` is a moment of the server's before anything of it was sealed: then
        it is done only within five seconds of it, and a session is only for those who have no second factor.
        """
        sealed = []
        for number, login in enumerate(logins, start=1):
            sealed.append(await self._seal(login))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        user_ids = [login.user_id for login in logins]
        rows = await self._run.many(sql.end_logins, user_ids, as_json(sealed), found_at, as_json(entries))
        by_id = {login.session_id: login for login in logins}
        return {row["login_id"]: self._ended(row, by_id[row["login_id"]]) for row in rows}

    async def _seal(self, login: ProvenLogin) -> Row:
        known = {
            "user_id": login.user_id,
            "credential_id": login.credential_id,
            "revoked_at": login.sessions_revoked_at,
            "session_id": login.session_id,
            "asks": login.asks,
        }
        return known if login.asks else known | await self._seal_session(login)

    async def _seal_session(self, login: ProvenLogin) -> dict[str, object]:
        data = await seal_data(self._codec, login.session_id, SessionData(login.user_agent, login.amr))
        address_cell = Cell("user_sessions", "ip_address", login.session_id)
        address = await self._codec.seal(login.ip_address.encode(), address_cell)
        metadata = TokenMetadata(ip_address=login.ip_address, user_agent=login.user_agent)
        about_token = await seal_metadata(self._codec, metadata, login.token_hash)
        return {
            "session_data": data.ciphertext,
            "session_data_key_id": data.key_id,
            "ip_address": address.ciphertext,
            "ip_address_key_id": address.key_id,
            "aal": login.aal,
            "idle": login.idle,
            "absolute": login.absolute,
            "device_id": login.device_id,
            "token_hash": login.token_hash,
            "metadata": about_token.ciphertext,
            "metadata_key_id": about_token.key_id,
            **await self._seal_fingerprint(login.session_id, login.user_id, login.device_fingerprint),
        }

    async def _seal_fingerprint(self, session_id: UUID, user_id: UUID, fingerprint: str | None) -> dict[str, object]:
        if fingerprint is None:
            return {}
        sealed = await self._codec.seal(fingerprint.encode(), Cell("user_sessions", "device_fingerprint", session_id))
        return {
            "device_fingerprint": sealed.ciphertext,
            "device_fingerprint_key_id": sealed.key_id,
            "device_fingerprint_index": self._index.index(of_person(user_id, fingerprint.encode()), FINGERPRINT),
        }

    def _ended(self, row: Record, login: ProvenLogin) -> Ended:
        new = None if row["session_id"] is None else partial(self._new_session, row, login)
        return Ended(standing=standing_of(row), asked=row["asked"], open=new)

    async def _new_session(self, row: Record, login: ProvenLogin) -> Session:
        # What was sealed just now need not be opened; the name is the one that the person has by now.
        fields = SessionFields(
            data=SessionData(login.user_agent, login.amr),
            ip_address=login.ip_address,
            username=await open_username(self._codec, row, login.user_id),
        )
        return session_of(row, fields)
