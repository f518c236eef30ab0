"""The sealed fields of a session's row, opened, and remembered by their exact ciphertexts."""

from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID

import msgspec

from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.postgres import Record
from cypher.repositories.users import open_username

#: By these a row's sealed fields are known again: the cells, and what they were sealed as.
SEALED = (
    "session_id",
    "user_id",
    "username",
    "username_key_id",
    "session_data",
    "session_data_key_id",
    "ip_address",
    "ip_address_key_id",
)
#: Rows that are remembered: about 1 KiB each.
REMEMBERED = 4096


class SessionData(msgspec.Struct, frozen=True):
    """The JSON in `session_data`."""

    user_agent: str
    amr: tuple[str, ...]


class SessionFields(NamedTuple):
    """What the sealed fields say."""

    data: SessionData
    ip_address: str
    username: str


class OpenedSessions:
    """One for all repositories of a process.

    While Redis is away every request reads its session's row: to open three cells costs more than all the rest.
    """

    def __init__(self, codec: FieldCodec) -> None:
        self._codec = codec
        self._found: OrderedDict[tuple[object, ...], SessionFields] = OrderedDict()

    async def open(self, row: Record) -> SessionFields:
        """Return the fields of a row, joined with its owner's; raises FieldDoesNotOpen."""
        sealed = tuple(row[name] for name in SEALED)
        fields = self._found.get(sealed)
        if fields is None:
            fields = self._found[sealed] = await self._opened(row)
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)
        return fields

    async def _opened(self, row: Record) -> SessionFields:
        session_id: UUID = row["session_id"]
        data_cell = Cell("user_sessions", "session_data", session_id)
        data = await self._codec.open(Sealed(row["session_data"], row["session_data_key_id"]), data_cell)
        address_cell = Cell("user_sessions", "ip_address", session_id)
        address = await self._codec.open(Sealed(row["ip_address"], row["ip_address_key_id"]), address_cell)
        return SessionFields(
            data=msgspec.json.decode(data, type=SessionData),
            ip_address=address.decode(),
            username=await open_username(self._codec, row, row["user_id"]),
        )


async def seal_data(codec: FieldCodec, session_id: UUID, data: SessionData) -> Sealed:
    """Seal `session_data` of a session."""
    return await codec.seal(msgspec.json.encode(data), Cell("user_sessions", "session_data", session_id))
