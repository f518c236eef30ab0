"""Hot paths on many rows, beside the same ones on few: each has a database of its own."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.harness import Scenario, Target, repeated
from bench.people import DAY, SOURCE
from bench.stands import SMALL, Stand, Stands

CALLS = 100


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    few = Paths(await stands.small())
    for size in stands.sizes[1:]:
        many = Paths(await stands.of(size))
        for name, path in many.by_name().items():
            await path()
            yield Scenario(
                name=f"{name}, {size:,}",
                work=repeated(path, CALLS),
                floor=repeated(few.by_name()[name], CALLS),
                floor_name=f"{SMALL:,}",
                size=CALLS,
                # Everybody once: of many rows the first reading is the disk's.
                warm_up=SMALL // CALLS,
                target=Target(ratio=1.3),
            )


class Paths:
    """What requests do in PostgreSQL, one person after another."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._turns = itertools.cycle(stand.people)
        self._refresh_tokens = [person.refresh_token for person in stand.people]

    def by_name(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "what a login reads": self._login_record,
            "a session, read and opened": self._session,
            "a refresh, with its commit": self._refresh,
        }

    async def _login_record(self) -> None:
        async with self._stand.open_.db.connection() as repos:
            assert await repos.users.find_login_record(next(self._turns).username)

    async def _session(self) -> None:
        # Read and not written down, as nearly all uses of a session are.
        session_id = next(self._turns).session_id
        async with self._stand.open_.db.connection() as repos:
            found = await repos.sessions.touch_sessions([session_id], idle=DAY, unwritten=DAY)
        await found[session_id].open()

    async def _refresh(self) -> None:
        refreshed = await self._stand.services.tokens.refresh(self._refresh_tokens.pop(0), SOURCE)
        self._refresh_tokens.append(refreshed.refresh_token)
