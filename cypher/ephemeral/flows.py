"""State between two requests of one flow, so that another instance may answer the second.

The flow's id is a bearer value: Redis learns its SHA-256 only.
"""

import hashlib
import re
from datetime import timedelta
from typing import TypeVar

import msgspec

from cypher.clock import new_token
from cypher.crypto.codec import FieldCodec
from cypher.ephemeral.sealed_values import SealedValues
from cypher.redis_client import RedisClient

State = TypeVar("State", bound=msgspec.Struct)

#: Exactly what `new_token()` draws; anything else was never given out.
FLOW_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class FlowStore:
    def __init__(self, redis: RedisClient, codec: FieldCodec, epoch: str) -> None:
        self._redis = redis
        self._values = SealedValues(codec, epoch)

    async def put(self, kind: str, state: msgspec.Struct, ttl: timedelta) -> str:
        """Keep `state` for `ttl`; return the flow's id, 32 random bytes in base64url."""
        flow_id = new_token()
        value_id = _digest(flow_id)
        value = await self._values.seal(msgspec.msgpack.encode(state), kind, value_id)
        await self._redis.set(self._values.key(kind, value_id), value, px=ttl // timedelta(milliseconds=1))
        return flow_id

    async def take(self, kind: str, flow_id: str, state_type: type[State]) -> State | None:
        """Return the state and end the flow: only the first of all callers gets it."""
        if not FLOW_ID.fullmatch(flow_id):
            return None
        value_id = _digest(flow_id)
        return await self._state(await self._redis.getdel(self._values.key(kind, value_id)), kind, value_id, state_type)

    async def peek(self, kind: str, flow_id: str, state_type: type[State]) -> State | None:
        """Return the state and leave it there, for a step that may be asked again."""
        if not FLOW_ID.fullmatch(flow_id):
            return None
        value_id = _digest(flow_id)
        return await self._state(await self._redis.get(self._values.key(kind, value_id)), kind, value_id, state_type)

    async def end(self, kind: str, flow_id: str) -> None:
        """End a flow that was looked at before."""
        await self._redis.delete(self._values.key(kind, _digest(flow_id)))

    async def _state(self, value: bytes | None, kind: str, value_id: str, state_type: type[State]) -> State | None:
        plaintext = None if value is None else await self._values.open(value, kind, value_id)
        if plaintext is None:
            return None
        try:
            return msgspec.msgpack.decode(plaintext, type=state_type)
        except msgspec.DecodeError:  # written by another version: the flow starts again
            return None


def _digest(flow_id: str) -> str:
    return hashlib.sha256(flow_id.encode()).hexdigest()
