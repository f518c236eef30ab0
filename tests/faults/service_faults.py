"""What happens to the service itself, and what its clients do to it."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from tests.acceptance.person import Answer
from tests.faults.books import Books, Phase, hardly_any_failed
from tests.faults.fault import Fault
from tests.faults.traffic import Caller

#: What may be asked again; of a login, which may not, only the start.
REPEATABLE = ("/v1/registration/", "/v1/login/start", "/v1/session", "/oauth/token")
#: Whoever has sent a whole request leaves within this.
SECONDS = 0.02


class ServiceKilled(Fault):
    """One instance after the other, at moments that nobody has chosen; whoever asked it asks the other one."""

    name = "an instance killed (SIGKILL), then the other, at random moments"
    seconds = 0.0
    cuts_clients = True

    async def begin(self) -> None:
        moments = random.Random(7)
        for service in self.world.services:
            await asyncio.sleep(moments.uniform(0.3, 1.0))
            service.kill()
            await service.start()


class Hasty(Caller):
    """Sends every request that may be asked again twice, and is gone before the first answer."""

    dice: ClassVar = random.Random(7)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        if path.startswith(REPEATABLE):
            with suppress(OSError):
                await self._leave(_written(method, path, self.url, **options))
        return await super().ask(method, path, **options)

    async def _leave(self, request: bytes) -> None:
        """Send all of a request or a part, and cut the connection."""
        parts = urlsplit(self.url)
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        sent = request if self.dice.random() < 0.6 else request[: self.dice.randrange(1, len(request))]
        writer.write(sent)
        await asyncio.sleep(self.dice.uniform(0, SECONDS))
        writer.transport.abort()


def _written(
    method: str,
    path: str,
    url: str,
    *,
    json: object = None,
    data: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return a request as it goes over the wire."""
    body = _json(json) if json is not None else urlencode(data or {}).encode()
    kind = "application/json" if json is not None else "application/x-www-form-urlencoded"
    fields = {"Host": urlsplit(url).netloc, "Content-Length": str(len(body)), **(headers or {})}
    if body:
        fields["Content-Type"] = kind
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


class ClientsLeave(Fault):
    """Nobody else notices, and who asks again is answered."""

    name = "clients that leave in the middle of a request"

    async def begin(self) -> None:
        self.traffic.caller = Hasty

    async def end(self) -> None:
        self.traffic.caller = Caller

    def surprises(self, books: Books) -> Iterator[str]:
        if not hardly_any_failed(books.of(Phase.DURING, Phase.AFTER)):
            yield "requests failed of those who stayed"


SERVICE_FAULTS: tuple[type[Fault], ...] = (ClientsLeave, ServiceKilled)
