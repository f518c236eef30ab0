"""A whole login over HTTP, the person's share of OPAQUE included, beside the same login without an audit trail."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from bench.harness import Scenario, Target, Work
from bench.people import PASSWORD
from cypher.app import Resources
from cypher.auth.audit import Audit, Happening
from cypher.auth.source import Source
from cypher.client import CypherClient
from cypher.clock import new_bytes
from cypher.repositories import Repositories
from cypher.web.application import make_web_app
from cypher.web.server import WebServer
from cypher.wiring import build_services

#: A tenth of a login.
MOST = Target(ratio=1.1)


class Mute(Audit):
    """Records nothing: what a login would cost without a trail."""

    async def record_all(self, repos: Repositories, happenings: Sequence[Happening], source: Source | None) -> None:
        return None

    def record_failure(self, happening: Happening, source: Source | None) -> None:
        return None


async def scenarios(open_: Resources) -> AsyncIterator[Scenario]:
    """Yield the scenario over two services that differ in nothing else."""
    async with AsyncExitStack() as closing:
        with_trail = await _logging_in(open_, closing)
        without = await _logging_in(replace(open_, audit=Mute(open_.clock, open_.index)), closing)
        yield Scenario(
            name="a login", work=with_trail, floor=without, floor_name="without a trail", size=1, target=MOST
        )


async def _logging_in(open_: Resources, closing: AsyncExitStack) -> Work:
    app = make_web_app(build_services(open_), open_.config)
    server = await WebServer.start(app, "127.0.0.1", 0)
    closing.push_async_callback(server.stop)
    person = await closing.enter_async_context(CypherClient(f"http://127.0.0.1:{server.port}"))
    await person.register(name := f"bench-{new_bytes(6).hex()}", PASSWORD)

    async def log_in() -> None:
        await person.login(name, PASSWORD)

    return log_in
