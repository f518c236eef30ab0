"""Devices a person has logged in from. A fingerprint finds one again; only its token shows that it is there.

Whoever makes, gives a token to or revokes a device holds the person's row, locked by a statement before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from cypher import sqlfiles
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.postgres import Executor, Record
from cypher.repositories.users import USERNAME

sql = sqlfiles.load("devices")

#: The field of the blind index of a person's fingerprint.
FINGERPRINT = "devices.fingerprint"
DeviceFact = Annotated[str, msgspec.Meta(max_length=200)]


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device says of itself, for its owner to know it by; the JSON in `info`."""

    platform: DeviceFact | None = None  #: its operating system
    model: DeviceFact | None = None
    app: DeviceFact | None = None  #: the browser or program that logged in


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device in whatever state."""

    id: UUID
    user_id: UUID
    name: str | None  #: opened here, sealed in the row
    info: DeviceInfo | None  #: likewise
    trusted_until: datetime | None  #: None also for a trust that is over
    first_seen_at: datetime
    last_seen_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDevice:
    """A device with the fingerprint that finds it again."""

    device: Device
    fingerprint: str  #: opened here, sealed in the row


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDevice:
    """A device whose good token was shown."""

    id: UUID
    trusted: bool


class DeviceRepository:
    """The table `devices`. Hashes of tokens have 32 bytes."""

    def __init__(self, run: Executor, codec: FieldCodec, index: BlindIndex) -> None:
        self._run = run
        self._codec = codec
        self._index = index

    async def find_by_token_and_name(self, token_hash: bytes, username: str) -> UUID | None:
        """Return the device that a token was given to, if its owner has this name; the same work for any name."""
        indexes = await self._index.indexes(username, USERNAME)
        found = await self._run.value(sql.find_by_token_and_name, token_hash, indexes)
        return found if isinstance(found, UUID) else None

    async def find_shown(self, user_id: UUID, token_hash: bytes, fingerprint: str | None) -> ShownDevice | None:
        """Return the person's device that a token was given to; with a fingerprint, only if it is that one."""
        indexes = None if fingerprint is None else await self._indexes(user_id, fingerprint)
        row = await self._run.one(sql.find_shown, user_id, token_hash, indexes)
        return ShownDevice(id=row["id"], trusted=row["trusted"]) if row else None

    async def see_fingerprint(self, user_id: UUID, fingerprint: str) -> UUID | None:
        """Find a device that was not revoked and note that it was seen now."""
        found = await self._run.value(sql.see_fingerprint, user_id, await self._indexes(user_id, fingerprint))
        return found if isinstance(found, UUID) else None

    async def insert_device(
        self, *, device_id: UUID, user_id: UUID, fingerprint: str, name: str | None, info: DeviceInfo | None
    ) -> UUID:
        """Insert a device; returns its id, or that of the row which somebody else has inserted meanwhile."""
        sealed = await self._codec.seal(fingerprint.encode(), Cell("devices", "fingerprint", device_id))
        found = await self._run.value(
            sql.insert_device,
            device_id,
            user_id,
            sealed.ciphertext,
            sealed.key_id,
            self._index.index(of_person(user_id, fingerprint.encode()), FINGERPRINT),
            *await self._seal_info(device_id, info),
            *await self._seal_name(device_id, name),
        )
        return found if isinstance(found, UUID) else device_id

    async def describe_device(self, device_id: UUID, *, name: str | None, info: DeviceInfo | None) -> None:
        """Note what a device says of itself now; a name that it has stays, and None changes nothing."""
        sealed_info, sealed_name = await self._seal_info(device_id, info), await self._seal_name(device_id, name)
        await self._run.execrows(sql.describe_device, device_id, *sealed_info, *sealed_name)

    async def see_device(self, device_id: UUID, shown_hash: bytes) -> None:
        """Note that a device was seen now by one of its tokens, after which none before that is any good."""
        await self._run.execrows(sql.see_device, device_id, shown_hash)

    async def give_token(
        self, device_id: UUID, token_hash: bytes, lifetime: timedelta, *, trust: bool, shown_hash: bytes | None
    ) -> bool:
        """Put a token in the place of those before; False, and nothing is changed, for a device that was revoked.

        The one of these that was shown stays good until the new one is shown, and what trust there was goes on. `trust`
        gives it anew, for `lifetime`.
        """
        return await self._run.execrows(sql.give_token, device_id, token_hash, lifetime, trust, shown_hash) == 1

    async def list_devices(self, user_id: UUID) -> list[Device]:
        """Return a person's devices but the revoked ones, 100 at most, the one that was used last first."""
        return [await self._device(row) for row in await self._run.many(sql.list_devices, user_id)]

    async def list_kept_devices(self, user_id: UUID, before: UUID, most: int) -> list[KeptDevice]:
        """Return the next devices of a person before an id, revoked or not, newest first."""
        return [
            KeptDevice(
                device=await self._device(row),
                fingerprint=(await self._codec.open(*_sealed(row, "fingerprint"))).decode(),
            )
            for row in await self._run.many(sql.list_kept_devices, user_id, before, most)
        ]

    async def get_device(self, device_id: UUID, user_id: UUID) -> Device | None:
        """Return a device of this person, revoked or not."""
        row = await self._run.one(sql.get_device, device_id, user_id)
        return await self._device(row) if row else None

    async def set_name(self, device_id: UUID, user_id: UUID, name: str) -> bool:
        """Rename a device of this person; False when there is none, or it was revoked."""
        return await self._run.execrows(sql.set_name, device_id, user_id, *await self._seal_name(device_id, name)) == 1

    async def end_trust(self, user_id: UUID, device_id: UUID | None = None) -> int:
        """End the trust in all devices of a person, or in one; returns how many were trusted until now.

        Hold the person's row before: a login that ends at the same time then either sees it or came before it.
        """
        return await self._run.execrows(sql.end_trust, user_id, device_id)

    async def revoke_device(self, device_id: UUID, user_id: UUID) -> bool:
        """Take a device of this person out of use with its token and trust; True when this call did."""
        return await self._run.execrows(sql.revoke_device, device_id, user_id) == 1

    async def _indexes(self, user_id: UUID, fingerprint: str) -> list[bytes]:
        return await self._index.indexes(of_person(user_id, fingerprint.encode()), FINGERPRINT)

    async def _seal_info(self, device_id: UUID, info: DeviceInfo | None) -> tuple[str | None, str | None]:
        return await self._seal(None if info is None else msgspec.json.encode(info), Cell("devices", "info", device_id))

    async def _seal_name(self, device_id: UUID, name: str | None) -> tuple[str | None, str | None]:
        return await self._seal(None if name is None else name.encode(), Cell("devices", "name", device_id))

    async def _seal(self, value: bytes | None, cell: Cell) -> tuple[str | None, str | None]:
        if value is None:
            return None, None
        sealed = await self._codec.seal(value, cell)
        return sealed.ciphertext, sealed.key_id

    async def _device(self, row: Record) -> Device:
        name = await self._open(row, "name")
        info = await self._open(row, "info")
        return Device(
            id=row["id"],
            user_id=row["user_id"],
            name=None if name is None else name.decode(),
            info=None if info is None else msgspec.json.decode(info, type=DeviceInfo),
            trusted_until=row["trusted_until"],
            first_seen_at=row["first_seen_at"],
            last_seen_at=row["last_seen_at"],
            revoked_at=row["revoked_at"],
        )

    async def _open(self, row: Record, column: str) -> bytes | None:
        return None if row[column] is None else await self._codec.open(*_sealed(row, column))


def _sealed(row: Record, column: str) -> tuple[Sealed, Cell]:
    return Sealed(row[column], row[f"{column}_key_id"]), Cell("devices", column, row["id"])


def of_person(user_id: UUID, fingerprint: bytes) -> bytes:
    """Return what a fingerprint is indexed as: with its person, so that no index is that of another person's device."""
    return user_id.bytes + fingerprint
