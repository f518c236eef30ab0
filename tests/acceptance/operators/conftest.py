"""A service whose operators' listener is open, and what stands in front of it."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from cypher.auth.service_tokens import Scope
from cypher.maintenance.operations import Operations
from cypher.operating import build_operations
from cypher.web.operators.application import make_operators_app
from cypher.web.operators.routes import ROUTES
from cypher.web.routes import Needs, Route
from cypher.web.server import WebServer
from tests.acceptance.person import Answer
from tests.acceptance.service import Service, StartService
from tests.contract import watched_client

NO_ID = "01900000-0000-7000-8000-000000000009"
NO_KEY = "data-20260101-00000000"
#: /metrics needs no token here: these tests run on the machine of their service.
SCOPED = [route for route in ROUTES if route.needs not in (Needs.NOTHING, Needs.SEE_METRICS)]
#: What a route is asked with so that whoever may call it is answered by its use case, and changes as little as it can.
ASKED: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/admin/v1/users"): {"json": {"username": "invited"}},
    ("POST", "/admin/v1/sessions/revoke"): {"json": {"filter": {"all": True}, "dry_run": True}},
    ("DELETE", "/admin/v1/rate-limits"): {"params": {"category": "login-name", "identifier": "nobody"}},
    ("POST", "/admin/v1/keys/rotate"): {"json": {}},
    ("POST", "/admin/v1/reencryption"): {"json": {}},
}


@dataclass
class Desk:
    """Asks as an operator; `tokens` are made when they are first needed."""

    service: Service
    operations: Operations
    server: WebServer
    http: aiohttp.ClientSession
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    async def token(self, *scopes: str, lifetime: timedelta | None = None) -> str:
        """Return a token with exactly these scopes."""
        if scopes not in self.tokens:
            tokens = self.service.services.service_tokens
            token_id, self.tokens[scopes] = await tokens.create(" ".join(scopes), frozenset(scopes), lifetime)
            self.ids[self.tokens[scopes]] = str(token_id)
        return self.tokens[scopes]

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self.http.request(method, url, headers=headers, **options) as response:
            is_json = response.content_type.endswith(("/json", "+json"))
            body = await response.json(content_type=None) if is_json else await response.text()
            return Answer(response.status, body, dict(response.headers))

    async def bearing(self, token: str, method: str, path: str, **options: Any) -> Answer:
        return await self.ask(method, path, {"Authorization": f"Bearer {token}"}, **options)

    async def as_(self, scope: str, method: str, path: str, **options: Any) -> Answer:
        return await self.bearing(await self.token(scope), method, path, **options)

    async def call(self, route: Route, headers: dict[str, str]) -> Answer:
        """Ask a route of the table."""
        options = ASKED.get((route.method, route.path), {})
        return await self.ask(route.method, path_of(route), headers, **options)


def path_of(route: Route) -> str:
    return route.path.replace("{id}", NO_ID).replace("{key_id}", NO_KEY)


async def printed(run_cli: Any, desk: Desk, *arguments: str) -> Any:
    """Return what a command prints with `--json`, on the same service."""
    outcome = await run_cli(desk.service, *arguments, "--json")
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


OpenDesk = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def open_desk(start_service: StartService) -> AsyncIterator[OpenDesk]:
    async with contextlib.AsyncExitStack() as stack:

        async def opener(**settings: str) -> Desk:
            service = await start_service(**settings)
            operations = build_operations(service.resources)
            stack.push_async_callback(operations.stop)
            app = make_operators_app(service.services, operations, service.config)
            server = await WebServer.start(app, "127.0.0.1", 0)
            stack.push_async_callback(server.stop)
            http = await stack.enter_async_context(watched_client("operators"))
            return Desk(service, operations, server, http)

        yield opener


@pytest.fixture
async def desk(open_desk: OpenDesk) -> Desk:
    return await open_desk()


@pytest.fixture
def all_scopes() -> tuple[str, ...]:
    return tuple(Scope)
