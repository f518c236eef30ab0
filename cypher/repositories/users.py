"""People: found by a blind index, their names and OPAQUE records sealed in the row.

It must not tell, by time, a name that somebody has from one that nobody has.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Executor, Record

sql = sqlfiles.load("users")

#: The field of the usernames' blind index.
USERNAME = "users.username"
OPAQUE_RECORD_BYTES = 192


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person, without anything that proves who they are."""

    id: UUID
    username: str  #: opened here, sealed in the row
    opaque_setup_id: str | None  #: None for somebody who has no password yet
    is_active: bool
    totp_enabled: bool
    locked_until: datetime | None
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRecord:
    """What a login is begun with."""

    user_id: UUID
    opaque_record: bytes  #: 192 bytes of ours; opened here, sealed in the row
    opaque_setup_id: str
    opaque_credential_id: bytes  #: 16 bytes, by which the password is known
    oprf_id: bytes  #: what OPAQUE is told instead, where the record was made elsewhere; else the same
    sessions_revoked_at: datetime | None  #: as it must still be when the login ends
    totp_enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a person may log in, of a row that is locked."""

    is_active: bool
    locked: bool
    current: bool  #: neither the credential nor all sessions were changed since the login began
    totp_enabled: bool


#: Raises FieldDoesNotOpen; None stands for nobody.
OpenRecord = Callable[[], Awaitable[LoginRecord | None]]


class Decoy:
    """A sealed record of nobody, opened in place of a real one. One for all repositories of a process."""

    def __init__(self, codec: FieldCodec) -> None:
        self._codec = codec
        self._cell = Cell("users", "opaque_record", UUID(int=0))
        self._sealed: Sealed | None = None

    async def open(self) -> None:
        """Spend what opening a record costs; seals anew at first, and when the key is gone."""
        if self._sealed is None:
            self._sealed = await self._codec.seal(bytes(OPAQUE_RECORD_BYTES), self._cell)
        try:
            foreign_password_id(await self._codec.open(self._sealed, self._cell))
        except FieldDoesNotOpen:
            self._sealed = None


class UserRepository:
    """The table `users`."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex, decoy: Decoy) -> None:
        self._run = run
        self._codec = codec
        self._index = index
        self._decoy = decoy

    async def find_login_records(self, usernames: Sequence[str]) -> dict[str, OpenRecord]:
        """Return for each name what opens the record that a login needs; for an unknown one it does the same work.

        Somebody without a password is as unknown as nobody. Each is opened by whoever asked for it: what does not open
        is one person's misfortune.
        """
        names: dict[bytes, str] = {}
        for username in usernames:
            names |= dict.fromkeys(await self._index.indexes(username, USERNAME), username)
        found: dict[str, OpenRecord] = dict.fromkeys(usernames, self._decoy.open)
        for row in await self._run.many(sql.find_login_records, list(names)):
            found[names[row["username_index"]]] = partial(self._login_record, row)
        return found

    async def find_login_record(self, username: str) -> LoginRecord | None:
        """Return what a login needs of one person, or None after as much work."""
        found = await self.find_login_records([username])
        return await found[username]()

    async def get_login_record(self, user_id: UUID) -> LoginRecord | None:
        """Return what a login of this person needs, who is known already."""
        row = await self._run.one(sql.get_login_record, user_id)
        return await self._login_record(row) if row and row["opaque_record"] is not None else None

    async def find_by_username(self, username: str) -> User | None:
        """Return the person of this name, which must be in its canonical form."""
        row = await self._run.one(sql.find_by_username, await self._index.indexes(username, USERNAME))
        return await self._user(row) if row else None

    async def get_user(self, user_id: UUID) -> User | None:
        row = await self._run.one(sql.get_user, user_id)
        return await self._user(row) if row else None

    async def insert_user(
        self,
        *,
        user_id: UUID,
        username: str,
        opaque_record: bytes,
        opaque_setup_id: str,
        opaque_credential_id: bytes,
    ) -> User | None:
        """Insert a person; returns None, and has changed nothing, when the id or the name is there already."""
        name = await self._codec.seal(username.encode(), Cell("users", "username", user_id))
        record = await self._codec.seal(opaque_record, Cell("users", "opaque_record", user_id))
        row = await self._run.one(
            sql.insert_user,
            user_id,
            name.ciphertext,
            name.key_id,
            self._index.index(username, USERNAME),
            record.ciphertext,
            record.key_id,
            opaque_setup_id,
            opaque_credential_id,
        )
        return await self._user(row) if row else None

    async def lock_standing(
        self, user_id: UUID, credential_id: bytes | None, sessions_revoked_at: datetime | None
    ) -> Standing | None:
        """Lock the person's row to the end of the transaction and compare it with what the login began with.

        `credential_id` is None for what gives somebody their first password.
        """
        row = await self._run.one(sql.lock_standing, user_id, credential_id, sessions_revoked_at)
        return standing_of(row) if row else None

    async def hold_user(self, user_id: UUID) -> bool:
        """Lock the person's row to the end of the transaction; False when there is no such person."""
        return await self._run.value(sql.hold_user, user_id) is True

    async def set_sessions_revoked(self, user_id: UUID) -> bool:
        """Keep logins that began before now from finishing, and hold the row; False when there is no such person."""
        return await self._run.execrows(sql.set_sessions_revoked, user_id) == 1

    async def set_active(self, user_id: UUID, is_active: bool) -> int:
        """Enable or disable an account; returns how many rows that changed: 1 or 0."""
        return await self._run.execrows(sql.set_active, user_id, is_active)

    async def _login_record(self, row: Record) -> LoginRecord:
        cell = Cell("users", "opaque_record", row["id"])
        record, oprf_id = await self._codec.open(Sealed(row["opaque_record"], row["opaque_record_key_id"]), cell), None
        if foreign_password_id(record) == row["opaque_credential_id"]:
            record, oprf_id = record[:OPAQUE_RECORD_BYTES], record[OPAQUE_RECORD_BYTES:]
        return LoginRecord(
            user_id=row["id"],
            opaque_record=record,
            opaque_setup_id=row["opaque_setup_id"],
            opaque_credential_id=row["opaque_credential_id"],
            oprf_id=oprf_id or row["opaque_credential_id"],
            sessions_revoked_at=row["sessions_revoked_at"],
            totp_enabled=row["totp_enabled"],
        )

    async def _user(self, row: Record) -> User:
        return User(
            id=row["id"],
            username=await open_username(self._codec, row, row["id"]),
            opaque_setup_id=row["opaque_setup_id"],
            is_active=row["is_active"],
            totp_enabled=row["totp_enabled"],
            locked_until=row["locked_until"],
            created_at=row["created_at"],
            last_login_at=row["last_login_at"],
        )


def standing_of(row: Record) -> Standing:
    """Return what a row says that was judged in its statement."""
    return Standing(
        is_active=row["is_active"],
        locked=row["locked"],
        current=row["current"],
        totp_enabled=row["totp_enabled"],
    )


async def open_username(codec: FieldCodec, row: Record, user_id: UUID) -> str:
    """Open `username` of a row that was joined with its user."""
    sealed = Sealed(row["username"], row["username_key_id"])
    return (await codec.open(sealed, Cell("users", "username", user_id))).decode()


def foreign_password_id(sealed: bytes) -> bytes:
    """Return what stands in `opaque_credential_id` (16 bytes) of a record made elsewhere with its identifier behind it.

    Where it does, what was opened is of this kind. A record has enough randomness to hide the identifier.
    """
    return hashlib.sha256(b"cypher/v1/newcomer\x00" + sealed).digest()[:16]
