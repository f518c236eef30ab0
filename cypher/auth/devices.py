"""The devices of a person, as their owner sees them: list, rename, end the trust in one, take one out of use."""

from uuid import UUID

import msgspec
from msgspec import UNSET

from cypher.auth.audit import Audit, Happening
from cypher.auth.endings import end_sessions
from cypher.auth.events import Event
from cypher.auth.known_devices import KnownDevices
from cypher.auth.living import LivingSessions
from cypher.auth.source import Source
from cypher.auth.types import DeviceChange, ListedDevice, SentDevice, SessionView
from cypher.errors import NotFound, SessionExpired, ValidationFailed
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.devices import Device, DeviceInfo


class Devices:
    """The routes below `/v1/devices`, and `register_device` for who has another way in than a login."""

    def __init__(
        self, *, db: Database[Repositories], known: KnownDevices, living: LivingSessions, audit: Audit
    ) -> None:
        self._db = db
        self._known = known
        self._living = living
        self._audit = audit

    async def register_device(
        self, *, user_id: UUID, device_fingerprint: str, device_info: DeviceInfo | None, source: Source | None = None
    ) -> Device:
        """Note that somebody's device was seen, as a login does that names it; a new one is an event.

        Gives no token, no session and no trust. Raises NotFound for an unknown person, and ValidationFailed for what a
        login may not say either: a fingerprint that is empty, or anything that is too long.
        """
        sent = _checked(device_fingerprint, device_info)
        async with self._db.transaction() as repos:
            if not await repos.users.hold_user(user_id):
                raise NotFound
            device_id = await self._known.register(repos, user_id, sent, source, session_id=None)
            return await _living_device(repos, device_id, user_id)

    async def list_devices(self, session: SessionView) -> list[ListedDevice]:
        """Return the person's devices, the one that was used last first."""
        async with self._db.connection() as repos:
            found = await repos.devices.list_devices(session.user_id)
        return [_listed(device, session) for device in found]

    async def change(self, session: SessionView, device_id: UUID, change: DeviceChange, source: Source) -> ListedDevice:
        """Rename a device or end the trust in it; raises NotFound for one that was revoked or is somebody else's."""
        user_id = session.user_id
        async with self._db.transaction() as repos:
            await _hold(repos, session)
            await _living_device(repos, device_id, user_id)
            if change.name is not UNSET and await repos.devices.set_name(device_id, user_id, change.name):
                await self._record(repos, Event.DEVICE_RENAMED, session, str(device_id), source)
            if change.trusted is False and await repos.devices.end_trust(user_id, device_id):
                await self._record(repos, Event.DEVICE_DISTRUSTED, session, str(device_id), source)
            return _listed(await _living_device(repos, device_id, user_id), session)

    async def revoke(self, session: SessionView, device_id: UUID, source: Source) -> None:
        """Take a device out of use: its sessions end on every instance, its token and its trust with them.

        Asked again, buries again what has ended lately: that is how a client whose first try met a Redis that was away
        gets to its answer. Raises NotFound for somebody else's device, RedisUnavailable.
        """
        user_id = session.user_id
        async with self._db.transaction() as repos:
            await _hold(repos, session)
            revoked = await repos.devices.revoke_device(device_id, user_id)
            if not revoked and await repos.devices.get_device(device_id, user_id) is None:
                raise NotFound
            ended = await end_sessions(repos, user_id, keep=None, reason="device_revoked", device_id=device_id)
            if revoked:
                note = f"{device_id}: {ended.count} sessions ended"
                await self._record(repos, Event.DEVICE_REVOKED, session, note, source)
        await self._living.bury(ended.to_bury)

    async def _record(self, repos: Repositories, event: Event, session: SessionView, note: str, source: Source) -> None:
        happening = Happening(event=event, user_id=session.user_id, session_id=session.id, note=note)
        await self._audit.record(repos, happening, source)


def _checked(fingerprint: str, info: DeviceInfo | None) -> SentDevice:
    """Hold what comes from the program to the bounds of what comes as JSON."""
    try:
        return msgspec.convert(msgspec.to_builtins({"fingerprint": fingerprint, "info": info}), SentDevice)
    except msgspec.ValidationError as exc:
        raise ValidationFailed from exc


async def _hold(repos: Repositories, session: SessionView) -> None:
    """Hold the person's row: no login of theirs ends meanwhile."""
    if not await repos.users.hold_user(session.user_id):
        raise SessionExpired


async def _living_device(repos: Repositories, device_id: UUID, user_id: UUID) -> Device:
    device = await repos.devices.get_device(device_id, user_id)
    if device is None or device.revoked_at is not None:
        raise NotFound
    return device


def _listed(device: Device, session: SessionView) -> ListedDevice:
    return ListedDevice(device=device, current=device.id == session.device_id)
