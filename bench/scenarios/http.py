"""Requests over HTTP from this process, beside the same number of requests for the constant `/health/live`."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from bench.harness import Scenario, Work
from cypher.client import CypherClient
from cypher.clock import new_bytes

REQUESTS = 64


async def scenarios(url: str) -> AsyncIterator[Scenario]:
    """Yield scenarios while a person is logged in at `url`."""
    connector = aiohttp.TCPConnector(limit=REQUESTS)
    async with CypherClient(url) as person, aiohttp.ClientSession(connector=connector) as http:
        await person.register(name := f"bench-{new_bytes(6).hex()}", "correct horse battery staple")
        session = await person.login(name, "correct horse battery staple")
        headers = {"Authorization": f"Bearer {await person.access_token()}"}

        async def get(path: str) -> bytes:
            async with http.get(url + path, headers=headers) as response:
                assert response.status == 200
                return await response.read()

        def many(path: str) -> Work:
            async def ask() -> None:
                await asyncio.gather(*(get(path) for _ in range(REQUESTS)))

            return ask

        assert str(session.id).encode() in await get("/v1/session")
        yield Scenario(
            name=f"GET /v1/session, {REQUESTS} at once",
            work=many("/v1/session"),
            floor=many("/health/live"),
            floor_name="GET /health/live",
            size=REQUESTS,
        )
