"""People taken over from another system, beside sealing the same values and COPY of the same rows by hand.

The floor reads no JSON and checks no name and no record: it begins with what is to be sealed.
"""

import itertools
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import opaque_ke_py

from bench.bare import bare_connection
from bench.harness import Scenario, Target
from bench.people import PASSWORD
from bench.scenarios.reencryption import sealed_by_hand
from cypher.app import Resources
from cypher.auth.opaque import new_setup
from cypher.clock import new_bytes
from cypher.crypto import base64url
from cypher.crypto.codec import Cell
from cypher.crypto.keyring import Purpose
from cypher.operating import importing
from cypher.repositories.users import USERNAME

PEOPLE = 5000
#: Half the speed of the floor at least.
LEAST = Target(ratio=2)
COLUMNS = (
    *("id", "username", "username_key_id", "username_index", "opaque_record", "opaque_record_key_id"),
    *("opaque_setup_id", "opaque_credential_id"),
)


async def scenarios(open_: Resources, *, people: int = PEOPLE) -> AsyncIterator[Scenario]:
    """Yield the scenario; nobody of it stays."""
    setup = new_setup()
    record = _record(setup)
    setup_id = await importing(open_, _refuse).keep_setup(setup)
    turns = itertools.count()
    async with bare_connection(open_.config.postgres) as connection:

        async def clear() -> None:
            await connection.execute("DELETE FROM users WHERE opaque_setup_id = $1", setup_id)

        async def take_over() -> None:
            turn = next(turns)
            lines = (_line(f"person-{turn}-{number}", record) for number in range(people))
            done = await importing(open_, _refuse).run(lines, setup_id, dry_run=False)
            assert done.imported == people

        async def by_hand() -> None:
            key, turn, rows = open_.ring.primary(Purpose.DATA), next(turns), []
            for number in range(people):
                user_id, name = uuid4(), f"person-{turn}-{number}"
                username = sealed_by_hand(key, name.encode(), Cell("users", "username", user_id))
                sealed = sealed_by_hand(key, record + name.encode(), Cell("users", "opaque_record", user_id))
                index = open_.index.index(name, USERNAME)
                rows.append((user_id, username, key.id, index, sealed, key.id, setup_id, new_bytes(16)))
            await connection.copy_records_to_table("users", records=rows, columns=COLUMNS)

        try:
            yield Scenario(
                name=f"import {people:,} people",
                prepare=clear,
                work=take_over,
                floor=by_hand,
                floor_name="sealing and COPY by hand",
                size=people,
                target=LEAST,
                rounds=3,
            )
        finally:
            await clear()


def _refuse(refusal: object) -> None:
    raise AssertionError(refusal)


def _record(setup: bytes) -> bytes:
    """Register somebody there; for all people the same: what they were registered under does not matter here."""
    client = opaque_ke_py.client_registration_start(PASSWORD.encode())
    there = opaque_ke_py.ServerSetupData.from_bytes(setup)
    answer = opaque_ke_py.server_registration_start(there, bytes(client.get_message()), b"somebody")
    upload = opaque_ke_py.client_registration_finish(PASSWORD.encode(), client.get_state(), answer.get_message())
    return bytes(upload.get_message())


def _line(name: str, record: bytes) -> bytes:
    return msgspec.json.encode({"username": name, "opaque_record": base64url.encode(record)})
