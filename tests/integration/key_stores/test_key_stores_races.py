"""Processes and threads at one key store, each kind of store."""

import asyncio
import itertools
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from cypher.crypto import keystore
from cypher.crypto.keyring import KeyRing, Purpose, State, UnknownKey
from cypher.crypto.keystore import KeyStore, StoredRing
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from tests.integration.key_stores.places import CLOCK, Place, at_once, child, make_ring, open_ring

ROTATE_FIVE_TIMES = """
ring = KeyRing.open(store, password, SystemClock())
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    print(rotate(ring, Purpose.DATA).id)
"""
ROTATE_IF_DUE = """
ring = KeyRing.open(store, password, SystemClock())
print("ready", flush=True)
sys.stdin.readline()
print((rotate(ring, Purpose.DATA, replacing=argument) or ring.primary(Purpose.DATA)).id)
"""
KEEP_BY_AGE = """
from datetime import timedelta
from cypher.crypto.rotation import RotationPolicy, keep_by_age
ring = KeyRing.open(store, password, SystemClock())
print("ready", flush=True)
sys.stdin.readline()
made = keep_by_age(ring, SystemClock().now(), RotationPolicy(age=timedelta(days=90), operations=1))
print(*[f"{key.purpose}={key.state}" for key in made if key.state != "decrypt_only"])
"""
MAKE = """
print("ready", flush=True)
sys.stdin.readline()
ring = KeyRing.create(store, password, SystemClock(), opaque_setup=bytes(128), rounds=1000)
print(ring.store_id, ring.primary(Purpose.DATA).id)
"""
HOLD = """
with store.lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_processes_that_rotate_at_once_lose_no_key(ring: KeyRing, place: Place) -> None:
    made = at_once(place, ROTATE_FIVE_TIMES, processes=3)
    assert len(set(made)) == 15
    assert ring.reload()
    assert ring.generation == 16
    assert {key.id for key in ring.live(Purpose.DATA)} == {*made, ring.first(Purpose.DATA).id}
    assert [key.state for key in ring.live(Purpose.DATA)].count(State.ACTIVE) == 1


def test_processes_that_find_one_key_due_make_one_new_key(ring: KeyRing, place: Place) -> None:
    made = at_once(place, ROTATE_IF_DUE, ring.primary(Purpose.DATA).id, processes=4)
    assert len(set(made)) == 1
    ring.reload()
    assert (ring.generation, ring.primary(Purpose.DATA).id) == (2, made[0])


def test_processes_that_find_keys_of_their_age_make_one_new_key_of_each_purpose(ring: KeyRing, place: Place) -> None:
    ring.change(_aged)
    made = at_once(place, KEEP_BY_AGE, processes=4)
    assert sorted(made) == ["cache=active", "data=active", "signing=pending"]
    ring.reload()
    assert (ring.generation, len(ring.get_key_info())) == (3, len(Purpose) + 3)


def _aged(stored: StoredRing) -> StoredRing:
    ago = timedelta(days=91)
    keys = [replace(key, created_at=key.created_at - ago, activated_at=CLOCK.now() - ago) for key in stored.keys]
    return replace(stored, keys=tuple(keys))


async def test_forged_key_ids_make_the_store_be_looked_at_once_a_second(
    ring: KeyRing, store: KeyStore, place: Place, monkeypatch
) -> None:
    looks: list[float] = []
    stamp = type(store).stamp
    monkeypatch.setattr(type(store), "stamp", lambda self: (looks.append(time.monotonic()), stamp(self))[1])

    async def forge(number: int) -> None:
        for attempt in range(3):
            with pytest.raises(UnknownKey):
                await ring.key(f"data-20270101-{number}{attempt}")

    made = await asyncio.to_thread(rotate, open_ring(place.store()), Purpose.DATA)
    looks.clear()
    forging = [asyncio.create_task(forge(number)) for number in range(300)]
    # Among all of them, whoever meets a key that there is has it.
    assert (await ring.key(made.id)).id == made.id
    await asyncio.gather(*forging)
    assert 2 <= len(looks) <= 4
    assert min(later - earlier for earlier, later in itertools.pairwise(looks)) > 0.95


def test_processes_that_make_the_ring_at_once_share_one(place: Place) -> None:
    printed = at_once(place, MAKE, processes=3)
    assert len(printed) == 6
    assert set(printed) == {str((ring := open_ring(place.store())).store_id), ring.primary(Purpose.DATA).id}
    assert ring.generation == 1


def test_threads_of_one_ring_lose_no_key(ring: KeyRing) -> None:
    threads = [threading.Thread(target=rotate, args=(ring, Purpose.DATA)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ring.generation, len(ring.live(Purpose.DATA))) == (9, 9)


def test_threads_that_make_the_ring_at_once_share_one(place: Place) -> None:
    made: list[KeyRing] = []
    threads = [threading.Thread(target=lambda: made.append(make_ring(place.store()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len({ring.store_id for ring in made}) == 1


@pytest.mark.parametrize("ends", ["at its end", "by kill -9"])
def test_another_processs_lock_holds_until_it_ends(ring: KeyRing, store, place: Place, monkeypatch, ends: str) -> None:
    holder = child(place, HOLD)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with monkeypatch.context() as impatient:
        impatient.setattr(keystore, "LOCK_SECONDS", 0.05)
        with pytest.raises(KeyStoreRefused, match="Another process"):
            rotate(ring, Purpose.DATA)
    assert ring.generation == 1
    if ends == "by kill -9":
        holder.kill()
    holder.communicate("\n", timeout=60)
    rotate(ring, Purpose.DATA)
    assert ring.generation == 2
