"""A whole login, beside the work that the OPAQUE library does in it on the server's side. CPU is compared.

The floor is in this process and needs no network; both are the CPU of a process in which nothing else goes on.
"""

import time
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import opaque_ke_py

from bench.bare_aiohttp import bare
from bench.harness import NOTHING_PROMISED, Compared, Scenario, Target, repeated
from bench.load import loads
from bench.logins import Door, knock, log_in, log_in_with_totp
from bench.people import PASSWORD, Registered, insert_user, register
from bench.processes import service
from bench.servers import connected
from bench.stands import Stand, Stands
from cypher.auth.totp import new_secret
from cypher.client.opaque import start_login
from cypher.clock import new_bytes
from cypher.crypto.keyring import Purpose

LOGINS = 64
LIBRARY_LOGINS = 500
MOST = Target(ratio=4.0)


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    stand = await stands.small()
    known, unknown = [person.username for person in stand.people[:LOGINS]], _names_of_nobody()
    secret = new_secret()
    enrolled = await _enrol(stand, secret)
    ke1 = start_login(PASSWORD).message
    scenario = partial(
        Scenario,
        floor=repeated(LibraryLogin(stand, register(stand.open_)).log_in, LIBRARY_LOGINS),
        floor_name="OPAQUE library",
        floor_cpu=time.process_time,
        size=LOGINS,
        compared=Compared.CPU,
        rounds=5,
        # Until every connection of its pool knows every statement.
        warm_up=3,
    )
    async with (
        service(stand.settings, stand.folder) as running,
        bare("bench.least_login", stand.folder) as least,
        loads(stand.folder) as load,
    ):
        for at_once in stands.concurrency:
            door, under_way = Door(running, load, at_once), f"{at_once} at once"
            bare_door = Door(least, load, at_once)
            yield scenario(name=f"the least, {under_way}", work=partial(log_in, bare_door, known), cpu=least.cpu)
            target = MOST if at_once > 1 else NOTHING_PROMISED
            login = partial(scenario, cpu=running.cpu, target=target)
            yield login(name=f"known name, {under_way}", work=partial(log_in, door, known))
            yield login(name=f"unknown name, {under_way}", work=partial(knock, door, unknown, ke1))
            yield login(
                name=f"known name and TOTP, {under_way}",
                work=partial(log_in_with_totp, door, list(enrolled), secret),
                prepare=lambda: _allow_codes_again(stand, list(enrolled.values())),
            )


class LibraryLogin:
    """The server's two calls of a login, on the messages of one that succeeds."""

    def __init__(self, stand: Stand, registered: Registered) -> None:
        setup = stand.open_.ring.primary(Purpose.OPAQUE).secret
        self._setup = opaque_ke_py.ServerSetupData.from_bytes(setup)
        self._registered = registered
        client = opaque_ke_py.client_login_start(PASSWORD.encode())
        self._ke1 = bytes(client.get_message())
        begun = self._begin()
        finished = opaque_ke_py.client_login_finish(PASSWORD.encode(), client.get_state(), bytes(begun.get_message()))
        self._state, self._ke3 = bytes(begun.get_state()), bytes(finished.get_message())

    async def log_in(self) -> None:
        self._begin()
        opaque_ke_py.server_login_finish(self._state, self._ke3)

    def _begin(self) -> opaque_ke_py.ServerLoginStartData:
        known = self._registered
        return opaque_ke_py.server_login_start(self._setup, known.record, self._ke1, known.credential_id)


def _names_of_nobody() -> list[str]:
    return [f"nobody-{new_bytes(6).hex()}" for _ in range(LOGINS)]


async def _enrol(stand: Stand, secret: bytes) -> dict[str, UUID]:
    """Insert people who share a TOTP secret; returns their ids by name."""
    registered, enrolled = register(stand.open_), {}
    async with stand.open_.upkeep.transaction() as repos:
        for _ in range(LOGINS):
            user_id, username = await insert_user(repos, registered)
            assert await repos.factors.set_pending_secret(user_id, secret)
            enrolled[username] = user_id
    with connected(stand.postgres) as connection:
        connection.execute("UPDATE users SET totp_enabled = TRUE WHERE id = ANY(%s)", [list(enrolled.values())])
    return enrolled


async def _allow_codes_again(stand: Stand, user_ids: list[UUID]) -> None:
    """Forget which codes were used: each works once in its 30 seconds."""
    with connected(stand.postgres) as connection:
        connection.execute("UPDATE users SET totp_last_step = NULL WHERE id = ANY(%s)", [user_ids])
