"""The loop of the service must not be held up: a small request beside logins, beside the same request alone.

Seen from outside, so that whatever holds up the loop counts: a computation, a file, a thread that keeps the lock of the
interpreter. On a machine without a core to spare, waiting for the CPU counts as well.
"""

import asyncio
from collections.abc import AsyncIterator

from bench.harness import Scenario, Tally, Target
from bench.load import Load, loads
from bench.logins import Door, knock
from bench.people import PASSWORD
from bench.processes import Running, service
from bench.requests import LIVE, get
from bench.stands import Stands
from cypher.client.opaque import start_login
from cypher.clock import new_bytes

#: Under way at once: what they compute follows each other on the loop, and the small request waits for all of it.
LOGINS = 4
SECONDS = 1.0
PAUSE_SECONDS = 0.002


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    async with (
        service(stand.settings, stand.folder) as running,
        loads(stand.folder) as prober,
        loads(stand.folder) as load,
    ):
        door = Door(running, load, LOGINS)

        async def alone() -> Tally:
            return await _probe(prober, running)

        async def beside_logins() -> Tally:
            enough = asyncio.Event()
            logins = asyncio.create_task(_log_in_until(enough, door))
            try:
                return await _probe(prober, running)
            finally:
                enough.set()
                await logins

        yield Scenario(
            name=f"GET {LIVE} beside {LOGINS} logins at once",
            work=beside_logins,
            floor=alone,
            floor_name="nothing beside it",
            size=1,
            cpu=running.cpu,
            target=Target(p99=0.005),
            rounds=5,
        )


async def _probe(prober: Load, running: Running) -> Tally:
    return await prober.probe(running.port, get(LIVE), seconds=SECONDS, pause=PAUSE_SECONDS)


async def _log_in_until(enough: asyncio.Event, door: Door) -> None:
    ke1 = start_login(PASSWORD).message
    while not enough.is_set():
        await knock(door, [f"nobody-{new_bytes(6).hex()}" for _ in range(4 * LOGINS)], ke1)
