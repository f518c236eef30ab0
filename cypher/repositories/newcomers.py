"""People who come from elsewhere, many in one statement.

What their password was registered with there, its credential identifier, stands sealed beside the record: it is mostly
their name, which must not stand in any row. The column holds 16 bytes in its place that say nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec
from cypher.postgres import Executor
from cypher.repositories.users import USERNAME, foreign_password_id

sql = sqlfiles.load("newcomers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPassword:
    """An OPAQUE record as it was made elsewhere."""

    record: bytes  #: 192 bytes
    credential_id: bytes  #: 1 to 255 bytes
    setup_id: str  #: of the setup that it was made under, in the key store by now

    def sealed_together(self) -> bytes:
        """Return what is sealed: the record, and what it was made under."""
        return self.record + self.credential_id

    def id(self) -> bytes:
        """Return 16 bytes by which this password is known again."""
        return foreign_password_id(self.sealed_together())


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Somebody with all that is taken over of them."""

    id: UUID
    username: str  #: in its canonical form
    password: ForeignPassword | None  #: None for somebody who gets one by a recovery token
    totp_secret: bytes | None
    is_active: bool


class NewcomerRepository:
    """The table `users`, for an import."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex) -> None:
        self._run = run
        self._codec = codec
        self._index = index

    async def insert_newcomers(self, people: Sequence[Newcomer]) -> set[UUID]:
        """Insert those whose names are free; returns their ids."""
        rows = [await self._row(person) for person in people]
        inserted = await self._run.many(sql.insert_newcomers, *map(list, zip(*rows, strict=True))) if rows else []
        return {row["id"] for row in inserted}

    async def list_password_ids(self, usernames: Collection[str]) -> dict[str, bytes | None]:
        """Return, of the names that are there, by what their passwords are known; None where there is none yet."""
        names = {index: name for name in usernames for index in await self._index.indexes(name, USERNAME)}
        found = await self._run.many(sql.list_credential_ids, list(names))
        return {names[row["username_index"]]: row["opaque_credential_id"] for row in found}

    async def _row(self, person: Newcomer) -> tuple[object, ...]:
        """Return the parameters of the query, in its order."""
        password, cell = person.password, partial(Cell, "users", row_id=person.id)
        return (
            person.id,
            *await self._seal(person.username.encode(), cell("username")),
            self._index.index(person.username, USERNAME),
            *await self._seal(password.sealed_together() if password else None, cell("opaque_record")),
            password.setup_id if password else None,
            password.id() if password else None,
            *await self._seal(person.totp_secret, cell("totp_secret")),
            person.is_active,
        )

    async def _seal(self, value: bytes | None, cell: Cell) -> tuple[str | None, str | None]:
        if value is None:
            return None, None
        sealed = await self._codec.seal(value, cell)
        return sealed.ciphertext, sealed.key_id
