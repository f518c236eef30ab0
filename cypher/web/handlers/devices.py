"""A person's devices: the list, their names, trust in them, taking one out of use."""

from aiohttp import web

from cypher.auth.types import DeviceChange, ListedDevice
from cypher.web.answers import answer, no_content
from cypher.web.body import read
from cypher.web.device_schema import DeviceItem, DeviceList
from cypher.web.endpoint import endpoint
from cypher.web.identifiers import id_in_path
from cypher.web.keys import SERVICES
from cypher.web.source import bearer_of, source_of


@endpoint(answers={200: DeviceList})
async def list_all(request: web.Request) -> web.Response:
    """GET /v1/devices: the hundred devices of this person that were used last."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    found = await services.devices.list_devices(validated.session)
    return answer(DeviceList(items=[_item(listed) for listed in found]))


@endpoint(reads=DeviceChange, answers={200: DeviceItem})
async def change(request: web.Request) -> web.Response:
    """PATCH /v1/devices/{id}: rename a device, or end the trust in it."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    wanted = await read(request, DeviceChange)
    return answer(
        _item(await services.devices.change(validated.session, id_in_path(request), wanted, source_of(request)))
    )


@endpoint(answers={204: None})
async def revoke(request: web.Request) -> web.Response:
    """DELETE /v1/devices/{id}: take a device out of use; its sessions and the trust in it end."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    await services.devices.revoke(validated.session, id_in_path(request), source_of(request))
    return no_content()


def _item(listed: ListedDevice) -> DeviceItem:
    device = listed.device
    return DeviceItem(
        id=device.id,
        name=device.name,
        trusted_until=device.trusted_until,
        first_seen_at=device.first_seen_at,
        last_seen_at=device.last_seen_at,
        current=listed.current,
    )
