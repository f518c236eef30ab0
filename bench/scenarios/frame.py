"""What every request passes through, beside aiohttp with nothing around it.

`/health/live` is the floor of other scenarios: it has the whole frame (the connection's own error answers, the
request's id, preflight and limits looked at, the deadline, the headers, the line in the log) around a constant. Here
that frame itself is measured, so that nothing grows unseen below the floor.
"""

from collections.abc import AsyncIterator

from bench.bare_aiohttp import bare
from bench.harness import Scenario
from bench.load import loads
from bench.processes import service
from bench.requests import LIVE, get
from bench.scenarios.session import cycled
from bench.stands import Stands


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    async with (
        service(stand.settings, stand.folder) as cypher,
        bare("bench.constant", stand.folder) as constant,
        loads(stand.folder) as load,
    ):
        for at_once in stands.concurrency:
            yield Scenario(
                name=f"GET {LIVE}, {at_once} at once",
                work=cycled(load, cypher, [get(LIVE)], at_once),
                floor=cycled(load, constant, [get(LIVE)], at_once),
                floor_name="aiohttp, a constant",
                size=1,
                cpu=cypher.cpu,
                floor_cpu=constant.cpu,
                rounds=5,
            )
