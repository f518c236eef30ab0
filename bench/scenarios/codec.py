"""A cell sealed and opened, beside bare Fernet with one key."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

from cryptography.fernet import Fernet

from bench.harness import Compared, Scenario, Target, repeated
from bench.stands import Stands
from cypher.auth.opaque import new_setup
from cypher.clock import SystemClock, new_bytes
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import rotate
from cypher.maintenance.leases import Leases
from cypher.postgres import Database
from cypher.repositories.deployment import DeploymentOnly

KEYS = (1, 10, 100)
SIZES = (64, 4096)
CALLS = 500
CELL = Cell("users", "totp_secret", UUID(int=7))
#: What one key may seal, as the settings have it.
OPERATIONS = 1_000_000
MOST = Target(ratio=1.5)


async def scenarios(stands: Stands) -> AsyncIterator[Scenario]:
    ring = _new_ring(stands.servers.folder)
    with stands.servers.database() as postgres:
        database = await Database.open(postgres, DeploymentOnly.over)
        try:
            codec = FieldCodec(ring, Leases(database, ring, OPERATIONS))
            async for scenario in _under_more_and_more_keys(codec, ring):
                yield scenario
        finally:
            await database.close()


def _new_ring(folder: Path) -> KeyRing:
    store = DirectoryKeyStore(folder / "keys-codec")
    # Few rounds: they are spent once, as a process starts.
    return KeyRing.create(store, "of no use to anybody", SystemClock(), opaque_setup=new_setup(), rounds=1000)


async def _under_more_and_more_keys(codec: FieldCodec, ring: KeyRing) -> AsyncIterator[Scenario]:
    values = {size: new_bytes(size) for size in SIZES}
    sealed: dict[int, list[Sealed]] = {size: [] for size in SIZES}
    for keys in range(1, max(KEYS) + 1):
        for size, value in values.items():
            sealed[size].append(await codec.seal(value, CELL))
            assert await codec.open(sealed[size][-1], CELL) == value
        if keys in KEYS:
            for size, value in values.items():
                for scenario in _both_ways(codec, value, sealed[size]):
                    yield scenario
        await asyncio.to_thread(rotate, ring, Purpose.DATA)


def _both_ways(codec: FieldCodec, value: bytes, sealed: list[Sealed]) -> Iterator[Scenario]:
    fernet = Fernet(Fernet.generate_key())
    token = fernet.encrypt(value)
    turns = itertools.cycle(sealed)
    about = f"{len(value)} B, {len(sealed)} key{'s' if len(sealed) > 1 else ''}"

    async def encrypt() -> None:
        fernet.encrypt(value)

    async def decrypt() -> None:
        fernet.decrypt(token)

    yield Scenario(
        name=f"seal {about}",
        work=repeated(lambda: codec.seal(value, CELL), CALLS),
        floor=repeated(encrypt, CALLS),
        floor_name="Fernet.encrypt",
        size=CALLS,
        # Nothing waits here: CPU is all the time there is, and a busy machine does not change it.
        compared=Compared.CPU,
        target=MOST,
    )
    yield Scenario(
        name=f"open {about}",
        work=repeated(lambda: codec.open(next(turns), CELL), CALLS),
        floor=repeated(decrypt, CALLS),
        floor_name="Fernet.decrypt",
        size=CALLS,
        compared=Compared.CPU,
        target=MOST,
    )
