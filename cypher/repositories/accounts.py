"""Accounts as a whole: a new password, another name, a lock, the end. What logs in is read by `users`.

Whoever changes one here has locked the person's row by a statement before.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Executor, Record
from cypher.repositories.users import USERNAME, open_username

sql = sqlfiles.load("accounts")
logger = logging.getLogger("cypher.repositories")

#: What says that a name is somebody else's, whoever was first.
USERNAME_UNIQUE = "users_username_index_unique"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a person sees of their account."""

    id: UUID
    username: str  #: opened here, sealed in the row
    totp_enabled: bool
    created_at: datetime
    password_changed_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPerson:
    """What an operator sees of somebody."""

    id: UUID
    username: str | None  #: None where it does not open: one damaged row must not hide all others
    is_active: bool
    totp_enabled: bool
    locked_until: datetime | None
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialState:
    """Whose password there is, and what must be unchanged when another one takes its place."""

    user_id: UUID
    credential_id: bytes | None  #: 16 bytes; None for somebody without a password
    sessions_revoked_at: datetime | None


class AccountRepository:
    """The table `users` again, for what is not a login."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex) -> None:
        self._run = run
        self._codec = codec
        self._index = index

    async def get_account(self, user_id: UUID) -> Account | None:
        row = await self._run.one(sql.get_account, user_id)
        if row is None:
            return None
        return Account(
            id=row["id"],
            username=await open_username(self._codec, row, row["id"]),
            totp_enabled=row["totp_enabled"],
            created_at=row["created_at"],
            password_changed_at=row["password_changed_at"],
            last_login_at=row["last_login_at"],
        )

    async def get_person(self, user_id: UUID) -> ListedPerson | None:
        row = await self._run.one(sql.get_person, user_id)
        return await self._listed(row) if row else None

    async def find_person(self, username: str) -> ListedPerson | None:
        """Return the person of this name, which must be in its canonical form."""
        row = await self._run.one(sql.find_person, await self._index.indexes(username, USERNAME))
        return await self._listed(row) if row else None

    async def list_people(self, after: UUID, most: int) -> list[ListedPerson]:
        """Return the next people after an id, oldest first."""
        return [await self._listed(row) for row in await self._run.many(sql.list_people, after, most)]

    async def get_credential(self, user_id: UUID) -> CredentialState | None:
        row = await self._run.one(sql.get_credential, user_id)
        return credential_state(row) if row else None

    async def set_credential(
        self, user_id: UUID, *, record: bytes, setup_id: str, credential_id: bytes, replaces: bytes | None
    ) -> bool:
        """Store a record (192 bytes) in the place of the one that `replaces` names; False where that is another."""
        sealed = await self._codec.seal(record, Cell("users", "opaque_record", user_id))
        stored = await self._run.execrows(
            sql.set_credential, user_id, sealed.ciphertext, sealed.key_id, setup_id, credential_id, replaces
        )
        return stored == 1

    async def insert_person(self, user_id: UUID, username: str) -> bool:
        """Insert somebody without a password; False when the id or the name is there already."""
        name = await self._seal_username(user_id, username)
        inserted = await self._run.execrows(
            sql.insert_person, user_id, name.ciphertext, name.key_id, self._index.index(username, USERNAME)
        )
        return inserted == 1

    async def set_username(self, user_id: UUID, username: str) -> None:
        """Give another name; QueryFailed by USERNAME_UNIQUE when somebody else has it."""
        name = await self._seal_username(user_id, username)
        await self._run.execrows(
            sql.set_username, user_id, name.ciphertext, name.key_id, self._index.index(username, USERNAME)
        )

    async def set_locked(self, user_id: UUID, lifetime: timedelta | None) -> None:
        """Lock for so long from now, or unlock."""
        await self._run.execrows(sql.set_locked, user_id, lifetime)

    async def set_all_sessions_revoked(self, after: UUID, most: int) -> UUID | None:
        """Keep logins of the next people after an id from finishing; returns the last one, None when there is none."""
        last = await self._run.value(sql.set_all_sessions_revoked, after, most)
        return last if isinstance(last, UUID) else None

    async def delete_person(self, user_id: UUID) -> bool:
        """Delete somebody and every row that refers to them; False when there is nobody."""
        return await self._run.execrows(sql.delete_person, user_id) == 1

    async def _seal_username(self, user_id: UUID, username: str) -> Sealed:
        return await self._codec.seal(username.encode(), Cell("users", "username", user_id))

    async def _listed(self, row: Record) -> ListedPerson:
        try:
            username = await open_username(self._codec, row, row["id"])
        except FieldDoesNotOpen as failure:
            logger.error("%s does not open", failure.where)
            username = None
        return ListedPerson(
            id=row["id"],
            username=username,
            is_active=row["is_active"],
            totp_enabled=row["totp_enabled"],
            locked_until=row["locked_until"],
            created_at=row["created_at"],
            last_login_at=row["last_login_at"],
        )


def credential_state(row: Record) -> CredentialState:
    """Read what a query returns of a person's credential."""
    return CredentialState(
        user_id=row["id"],
        credential_id=row["opaque_credential_id"],
        sessions_revoked_at=row["sessions_revoked_at"],
    )
