"""What the parts of the client share: a way to the service, the tokens of one session, calls that carry them."""

from abc import ABC, abstractmethod
from typing import TypeVar

from cypher.client.tokens import TokenBox
from cypher.client.transport import Call, Transport, read

T = TypeVar("T")

REPEAT_SECONDS = 20.0  # for calls whose repeat never does harm


class Calls(ABC):
    """One part of `CypherClient`, which has all of them."""

    _transport: Transport
    _box: TokenBox
    _server_public_key: bytes | None

    @abstractmethod
    async def _send(self, call: Call) -> bytes:
        """Send a call with the session's access token."""

    async def _fetch(self, call: Call, answer: type[T]) -> T:
        return read(await self._send(call), answer)
