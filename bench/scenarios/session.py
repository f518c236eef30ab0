"""GET /v1/session, beside the constant `/health/live` of the same service: same client, same headers, same frame."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from bench.harness import NOTHING_PROMISED, Scenario, Target, Work
from bench.load import Load, loads
from bench.people import SOURCE, People, seed
from bench.processes import Running, service
from bench.requests import LIVE, get
from bench.stands import Stand, Stands
from cypher.auth.types import SessionView

#: wrk counts in whole seconds.
ROUND_SECONDS = 1.0
#: 0.80 of the constant's requests a second with Redis, 0.60 without.
WITH_REDIS, WITHOUT_REDIS = Target(ratio=1 / 0.8, tail=1.5), Target(ratio=1 / 0.6)


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    nobody = f"unix://{stand.folder}/nobody"
    async with (
        loads(stand.folder) as load,
        service(stand.settings, stand.folder) as warm,
        service(stand.settings, stand.folder, REDIS_URL=nobody) as alone,
    ):
        await _assert_answers(stand, load, (warm, alone))
        for name, running, target in (("from Redis", warm, WITH_REDIS), ("Redis down", alone, WITHOUT_REDIS)):
            for at_once in stands.concurrency:
                yield Scenario(
                    name=f"GET /v1/session, {name}, {at_once} at once",
                    work=cycled(load, running, asking("/v1/session", stand.people), at_once),
                    floor=cycled(load, running, asking(LIVE, stand.people), at_once),
                    floor_name=f"GET {LIVE}",
                    size=1,
                    cpu=running.cpu,
                    target=target if at_once > 1 else NOTHING_PROMISED,
                    rounds=5,
                )


def cycled(load: Load, running: Running, requests: Sequence[bytes], at_once: int) -> Work:
    """Send requests again and again, for a second."""
    return lambda: load.cycle(running.port, requests, at_once=at_once, seconds=ROUND_SECONDS)


def asking(path: str, people: People) -> list[bytes]:
    """Return a request of each person."""
    return [get(path, person.access_token) for person in people]


async def _assert_answers(stand: Stand, load: Load, services: Sequence[Running]) -> None:
    """See that each token gets its own session, and that neither a changed one nor an ended session gets any."""
    (leaving,) = await seed(stand.open_, 1)
    people = stand.people
    changed = [get("/v1/session", f"{person.access_token[:-8]}AAAAAAAA") for person in people[:10]]
    for running in services:
        found = await load.each(running.port, asking("/v1/session", people), at_once=16)
        views = [msgspec.json.decode(body, type=SessionView) for body in found.bodies]
        assert [view.id for view in views] == [person.session_id for person in people]
        await load.each(running.port, changed, at_once=4, status=401)
    await stand.services.sessions.end_current(leaving.access_token, SOURCE)
    for running in services:
        await load.each(running.port, asking("/v1/session", [leaving]), at_once=1, status=401)
