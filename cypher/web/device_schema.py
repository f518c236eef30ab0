"""The answers about a person's devices; what changes one is `DeviceChange` of the use cases."""

from datetime import datetime
from uuid import UUID

import msgspec


class DeviceItem(msgspec.Struct, frozen=True, kw_only=True):
    """A device in its owner's list."""

    id: UUID
    name: str | None
    trusted_until: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    current: bool


class DeviceList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[DeviceItem]
