"""A sweep that is killed at any statement leaves every value under one key or the other, and the next one goes on."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from cypher.clock import SystemClock
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import PostgresUnavailable
from cypher.maintenance import reencryption
from cypher.maintenance.reencryption import Reencryption
from cypher.repositories.sealed_columns import COLUMNS
from tests.conftest import MASTER_PASSWORD
from tests.factories import as_owner, for_a_child, insert_family

SWEEPER = """
import asyncio, os, signal, sys
from pathlib import Path
import asyncpg, pickle
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.maintenance.reencryption import Reencryption
from cypher.postgres import Database
from cypher.repositories import repositories_over

path, password, config, at, when = sys.argv[1:]
left = int(at)

def cut(owner, name):
    original = getattr(owner, name)
    async def counted(self, *given, **named):
        global left
        left -= 1
        mine = left == 0  # what it calls in its turn counts as well
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await original(self, *given, **named)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    setattr(owner, name, counted)

for owner, name in (
    (asyncpg.transaction.Transaction, "start"),
    (asyncpg.transaction.Transaction, "commit"),
    (asyncpg.connection.Connection, "fetch"),
    (asyncpg.connection.Connection, "execute"),
):
    cut(owner, name)

async def main():
    ring = KeyRing.open(DirectoryKeyStore(Path(path)), password, SystemClock())
    codec = FieldCodec(ring)
    over = repositories_over(ring, codec, BlindIndex(ring))
    db = await Database.open(pickle.loads(bytes.fromhex(config)), over)
    await Reencryption(db=db, ring=ring, codec=codec, clock=SystemClock()).run()

asyncio.run(main())
"""
#: BEGIN, the list, the exchange and COMMIT of the first column, each also as the driver sends them.
CUTS = [(at, when) for at in range(1, 7) for when in ("before", "after")]


END_IDLE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE state = 'idle in transaction' AND datname = %s
"""


def sweep_and_be_killed(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", SWEEPER, *arguments], cwd=Path(__file__).parents[2], check=False)
    return done.returncode


@pytest.mark.parametrize(("at", "when"), CUTS)
async def test_a_sweep_killed_at_any_statement_loses_nothing(
    db, ring, codec, postgres_config, tmp_path, at: int, when: str
) -> None:
    for _ in range(2):
        await insert_family(db)
    old = ring.primary(Purpose.DATA).id
    new = (await asyncio.to_thread(rotate, ring, Purpose.DATA)).id
    arguments = (str(tmp_path / "keys"), MASTER_PASSWORD, for_a_child(postgres_config), str(at), when)
    assert await asyncio.to_thread(sweep_and_be_killed, *arguments) == -9
    assert await keys_of_all_values(db, codec) <= {old, new}
    done = await Reencryption(db=db, ring=ring, codec=codec, clock=SystemClock()).run()
    assert done.unopened == 0
    assert await keys_of_all_values(db, codec) == {new}


@pytest.mark.parametrize("sqlstate", ["53100", "58030"], ids=["disk full", "broken disk"])
async def test_a_server_without_a_disk_ends_a_sweep_and_loses_nothing(
    db, ring, codec, postgres_config, monkeypatch, sqlstate: str
) -> None:
    for _ in range(2):
        await insert_family(db)
    old = ring.primary(Purpose.DATA).id
    new = (await asyncio.to_thread(rotate, ring, Purpose.DATA)).id
    as_owner(
        postgres_config,
        "CREATE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql"
        f" AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$",
    )
    as_owner(
        postgres_config,
        "CREATE TRIGGER fail BEFORE UPDATE OF ip_address ON user_sessions FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    monkeypatch.setattr(reencryption, "TRIES", 2)
    sweep = Reencryption(db=db, ring=ring, codec=codec, clock=SystemClock())
    with pytest.raises(PostgresUnavailable):
        await sweep.run()
    assert await keys_of_all_values(db, codec) == {old, new}
    as_owner(postgres_config, "DROP TRIGGER fail ON user_sessions")
    assert (await sweep.run()).unopened == 0
    assert await keys_of_all_values(db, codec) == {new}


async def test_a_sweep_that_was_paused_within_a_batch_goes_on(
    db, ring, codec, servers, postgres_config, monkeypatch
) -> None:
    for _ in range(2):
        await insert_family(db)
    new = (await asyncio.to_thread(rotate, ring, Purpose.DATA)).id
    reseal, ended = Reencryption._reseal, []

    async def outlast(self, cells, key):
        if cells and not ended:
            # What PostgreSQL does to a transaction that has been idle for five seconds, as with Ctrl-Z.
            with servers.superuser() as connection:
                ended.extend(connection.execute(END_IDLE, [postgres_config.database]).fetchall())
        return await reseal(self, cells, key)

    monkeypatch.setattr(Reencryption, "_reseal", outlast)
    await Reencryption(db=db, ring=ring, codec=codec, clock=SystemClock()).run()
    assert ended
    assert await keys_of_all_values(db, codec) == {new}


async def keys_of_all_values(db, codec) -> set[str]:
    """Open every value; return the ids of the keys that they are under."""
    used = set()
    async with db.connection() as repos:
        for column in COLUMNS:
            for each in await repos.sealed_columns.list_stale(column, "none", column.before_all, 1000):
                await codec.open(each.sealed, each.cell)
                used.add(each.sealed.key_id)
    return used
