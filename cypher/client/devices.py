"""The person's devices, as methods of the client."""

from uuid import UUID

from cypher.client import answers, requests
from cypher.client.account_answers import ListedDevice
from cypher.client.calls import REPEAT_SECONDS, Calls
from cypher.client.transport import Call


class DeviceCalls(Calls):
    """List, rename, revoke, end the trust. Each raises as `CypherClient.session`, and NotFound for an unknown id."""

    async def devices(self) -> tuple[ListedDevice, ...]:
        """List the person's devices, the one that was used last first."""
        call = Call(method="GET", path="/v1/devices", repeat_seconds=REPEAT_SECONDS)
        return (await self._fetch(call, answers.ListedDevices)).items

    async def rename_device(self, device_id: UUID, name: str) -> ListedDevice:
        """Give a device a name; raises ValidationFailed for one that is empty or has more than 100 characters."""
        return await self._fetch(_change(device_id, requests.DeviceChange(name=name)), ListedDevice)

    async def distrust_device(self, device_id: UUID) -> ListedDevice:
        """Ask the device for the second factor again, from its next login on."""
        return await self._fetch(_change(device_id, requests.DeviceChange(trusted=False)), ListedDevice)

    async def revoke_device(self, device_id: UUID) -> None:
        """End the device's sessions, its trust and its token; of the device at hand, this session as well."""
        await self._send(Call(method="DELETE", path=f"/v1/devices/{device_id}", repeat_seconds=REPEAT_SECONDS))


def _change(device_id: UUID, change: requests.DeviceChange) -> Call:
    path = f"/v1/devices/{device_id}"
    return Call(method="PATCH", path=path, body=change, repeat_seconds=REPEAT_SECONDS)
