"""Uses of data keys are counted before they happen, over all processes together."""

import asyncio
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cypher.config import PostgresConfig
from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import KeyRing, Purpose, State
from cypher.crypto.rotation import rotate
from cypher.maintenance.leases import Leases
from cypher.postgres import Database
from cypher.repositories.deployment import DeploymentOnly
from tests.conftest import MASTER_PASSWORD
from tests.factories import for_a_child

CELL = Cell("users", "username", b"1")
LIMIT = 100

SEALER = """
import asyncio, sys
from pathlib import Path
import pickle
from cypher.clock import SystemClock
from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.maintenance.leases import Leases
from cypher.postgres import Database
from cypher.repositories.deployment import DeploymentOnly

path, password, config, count, limit = sys.argv[1:]

async def seal(codec, number):
    sealed = await codec.seal(b"x", Cell("users", "username", str(number)))
    print(sealed.key_id, flush=True)

async def main():
    ring = KeyRing.open(DirectoryKeyStore(Path(path)), password, SystemClock())
    db = await Database.open(pickle.loads(bytes.fromhex(config)), DeploymentOnly.over)
    codec = FieldCodec(ring, Leases(db, ring, int(limit)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(seal(codec, number) for number in range(int(count))))

asyncio.run(main())
"""


def sealer(config: PostgresConfig, keys: Path, count: int) -> subprocess.Popen[str]:
    given = for_a_child(config)
    command = [sys.executable, "-c", SEALER, str(keys), MASTER_PASSWORD, given, str(count), str(LIMIT)]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@asynccontextmanager
async def leases_over(config: PostgresConfig, ring: KeyRing, limit: int):
    db = await Database.open(config, DeploymentOnly.over)
    try:
        yield Leases(db, ring, limit)
    finally:
        await db.close()


async def operations(db) -> dict[str, int]:
    async with db.connection() as repos:
        return await repos.deployment.list_operations()


async def test_a_thousand_encryptions_in_parallel_with_two_kills_pass_no_limit(
    db, ring: KeyRing, postgres_config: PostgresConfig, tmp_path: Path
) -> None:
    processes = [sealer(postgres_config, tmp_path / "keys", 250) for _ in range(6)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    killed = processes[:2]
    lines = [[process.stdout.readline() for _ in range(20)] for process in killed]
    for process in killed:
        process.kill()
    outputs = [await asyncio.to_thread(process.communicate, timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [-9, -9, 0, 0, 0, 0]
    text = "".join("".join(early) for early in lines) + "".join(output for output, _ in outputs)
    sealed = Counter(line for line in text.splitlines() if line.startswith("data-"))
    counted = await operations(db)
    assert sum(sealed.values()) >= 1040
    assert all(sealed[key_id] <= counted[key_id] <= LIMIT for key_id in sealed)
    # Nobody made a key that was not needed: every one but the last was used up.
    ring.reload()
    unused = [key.id for key in ring.live(Purpose.DATA) if counted.get(key.id, 0) < LIMIT]
    assert unused == [ring.primary(Purpose.DATA).id]


async def test_uses_are_reserved_in_blocks_before_they_happen(db, ring: KeyRing, leases: Leases) -> None:
    codec = FieldCodec(ring, leases)
    await codec.seal(b"x", CELL)
    assert await operations(db) == {ring.primary(Purpose.DATA).id: 1000}
    for _ in range(1000):
        await codec.seal(b"x", CELL)
    assert await operations(db) == {ring.primary(Purpose.DATA).id: 2000}


async def test_opening_and_what_redis_keeps_are_not_counted(db, ring: KeyRing, leases: Leases) -> None:
    codec = FieldCodec(ring, leases)
    await codec.open(await codec.seal(b"x", CELL, Purpose.CACHE), CELL)
    assert await operations(db) == {}


async def test_a_key_that_cannot_be_replaced_goes_on(
    db, ring: KeyRing, postgres_config: PostgresConfig, tmp_path: Path, caplog
) -> None:
    async with leases_over(postgres_config, ring, 3) as leases:
        codec = FieldCodec(ring, leases)
        (tmp_path / "keys" / "keyring.json").chmod(0o644)  # refused: open to other users
        sealed = [await codec.seal(b"x", CELL) for _ in range(5)]
        assert "goes on" in caplog.text
        (tmp_path / "keys" / "keyring.json").chmod(0o600)
        ring.reload()
        sealed.append(await codec.seal(b"x", CELL))
    first = ring.first(Purpose.DATA).id
    assert [value.key_id == first for value in sealed] == [True] * 5 + [False]
    assert (await operations(db))[first] == 5
    assert [key.id for key in leases.made] == [ring.primary(Purpose.DATA).id]


async def test_a_retired_key_is_never_reserved_again(db, ring: KeyRing, leases: Leases) -> None:
    old = ring.primary(Purpose.DATA)
    async with db.connection() as repos:
        await repos.deployment.retire_key(old.id)
        assert not await repos.deployment.reserve_operations(old.id, 1, None)
    sealed = await FieldCodec(ring, leases).seal(b"x", CELL)
    assert sealed.key_id != old.id


async def test_what_was_reserved_of_a_key_is_not_used_for_the_next(ring: KeyRing, leases: Leases) -> None:
    codec = FieldCodec(ring, leases)
    before = await codec.seal(b"x", CELL)
    new = await asyncio.to_thread(rotate, ring, Purpose.DATA)
    after = await codec.seal(b"x", CELL)
    assert (before.key_id != after.key_id, after.key_id) == (True, new.id)


async def test_the_trail_tells_of_a_key_made_for_use(db, ring: KeyRing, leases: Leases, keeper) -> None:
    leases._limit = 1000  # one block
    codec = FieldCodec(ring, leases)
    for _ in range(1001):
        await codec.seal(b"x", CELL)
    await keeper.keep()
    await keeper.keep()
    async with db.connection() as repos:
        seen = await repos.deployment.list_data_keys()
    assert ring.primary(Purpose.DATA).id in seen
    assert leases.made == []
    assert [key.state for key in ring.live(Purpose.DATA)] == [State.ACTIVE, State.DECRYPT_ONLY]


@pytest.mark.parametrize("limit", [1, 2, 999, 1000, 1001])
async def test_every_limit_is_kept(db, ring: KeyRing, postgres_config: PostgresConfig, limit: int) -> None:
    async with leases_over(postgres_config, ring, limit) as leases:
        codec = FieldCodec(ring, leases)
        used = Counter([(await codec.seal(b"x", CELL)).key_id for _ in range(2 * min(limit, 5) + 1)])
    assert max(used.values()) <= limit
    counted = await operations(db)
    assert all(used[key_id] <= counted[key_id] <= limit for key_id in used)
