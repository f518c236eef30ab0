"""A process of its own that writes to a trail, or seals it until it is killed."""

import asyncio
import pickle
import random
import sys
from pathlib import Path

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.errors import Unavailable
from cypher.maintenance.sealing import Sealer
from cypher.postgres import Database
from cypher.repositories import repositories_over

WRITERS = 32
EVENTS = (Event.SESSION_CREATED, Event.LOGIN_FAILED, Event.TOKEN_REFRESHED)
CLOCK = SystemClock()


async def write(audit: Audit, db, count: int) -> None:
    """Write `count` entries, some together, in transactions that stay open for a while and commit in any order."""
    source = Source(address="203.0.113.7", user_agent="Browser/1.0", request_id="request-0001")
    while count:
        several = min(count, random.choice((1, 1, 1, 2, 5)))
        happenings = [Happening(event=random.choice(EVENTS), note="x") for _ in range(several)]
        try:
            async with db.transaction() as repos:
                await audit.record_all(repos, happenings, source)
                await asyncio.sleep(random.choice((0, 0, 0.02)))
        except Unavailable:
            continue
        count -= several


async def seal(sealer: Sealer) -> None:
    print("sealing", flush=True)
    while True:
        await sealer.seal()
        await asyncio.sleep(0.02)


async def main(config: str, keys: str, password: str, task: str, count: str) -> None:
    ring = KeyRing.open(DirectoryKeyStore(Path(keys)), password, CLOCK)
    index = BlindIndex(ring)
    db = await Database.open(pickle.loads(bytes.fromhex(config)), repositories_over(ring, FieldCodec(ring), index))
    if task == "seal":
        await seal(Sealer(db=db, ring=ring, clock=CLOCK))
    audit = Audit(CLOCK, index)
    await asyncio.gather(*(write(audit, db, int(count) // WRITERS) for _ in range(WRITERS)))
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
