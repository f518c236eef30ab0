import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, State
from cypher.crypto.rotation import BY_HAND, rotate
from cypher.errors import OperatorError

ROOT = Path(__file__).parents[3]

ROTATOR = """
import sys
from pathlib import Path
from cypher.clock import SystemClock
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import rotate

path, password, times, replacing = sys.argv[1:]
ring = KeyRing.open(DirectoryKeyStore(Path(path)), password, SystemClock())
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(times)):
    made = rotate(ring, Purpose.DATA, replacing=replacing or None) or ring.primary(Purpose.DATA)
    print(made.id, flush=True)
"""


def rotators(path, password: str, *, processes: int, times: int, replacing: str = "") -> list[str]:
    """Rotate in several processes at once and return the ids that they were given."""
    command = [sys.executable, "-c", ROTATOR, str(path), password, str(times), replacing]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    return "".join(outputs).split()


async def test_a_new_key_seals_and_the_old_one_opens(ring: KeyRing, store, password, clock) -> None:
    codec, cell = FieldCodec(ring), Cell("users", "username", b"1")
    before = await codec.seal(b"alice", cell)
    new = rotate(ring, Purpose.DATA)
    after = await codec.seal(b"alice", cell)
    assert (after.key_id, ring.generation) == (new.id, 2)
    again = FieldCodec(KeyRing.open(store, password, clock))
    assert await again.open(before, cell) == await again.open(after, cell) == b"alice"
    states = {info.id: info.state for info in ring.get_key_info() if info.purpose is Purpose.DATA}
    assert states == {before.key_id: State.DECRYPT_ONLY, new.id: State.ACTIVE}
    assert all(info.state is State.ACTIVE for info in ring.get_key_info() if info.purpose is not Purpose.DATA)


def test_the_cipher_stays_unless_another_is_asked_for(ring: KeyRing) -> None:
    assert rotate(ring, Purpose.CACHE).algorithm is Algorithm.FERNET
    assert rotate(ring, Purpose.CACHE, algorithm=Algorithm.AES_256_GCM).algorithm is Algorithm.AES_256_GCM
    assert rotate(ring, Purpose.CACHE).algorithm is Algorithm.AES_256_GCM


@pytest.mark.parametrize("purpose", sorted(set(Purpose) - BY_HAND))
def test_other_purposes_are_refused(ring: KeyRing, file, purpose: Purpose) -> None:
    before = file.read_bytes()
    with pytest.raises(OperatorError, match=purpose):
        rotate(ring, purpose)
    assert file.read_bytes() == before


@pytest.mark.parametrize("algorithm", [Algorithm.HMAC, Algorithm.ED25519, Algorithm.OPAQUE])
def test_what_is_not_a_cipher_is_refused(ring: KeyRing, file, algorithm: Algorithm) -> None:
    before = file.read_bytes()
    with pytest.raises(OperatorError, match=algorithm):
        rotate(ring, Purpose.DATA, algorithm=algorithm)
    assert file.read_bytes() == before


def test_processes_that_rotate_at_once_lose_no_key(ring: KeyRing, file, password) -> None:
    made = rotators(file.parent, password, processes=3, times=5)
    assert len(set(made)) == 15
    assert ring.reload()
    assert ring.generation == 16
    assert {key.id for key in ring.live(Purpose.DATA)} == {*made, ring.first(Purpose.DATA).id}
    assert [key.state for key in ring.live(Purpose.DATA)].count(State.ACTIVE) == 1


def test_processes_that_find_one_key_due_make_one_new_key(ring: KeyRing, file, password) -> None:
    made = rotators(file.parent, password, processes=4, times=1, replacing=ring.primary(Purpose.DATA).id)
    assert len(set(made)) == 1
    ring.reload()
    assert (ring.generation, ring.primary(Purpose.DATA).id) == (2, made[0])


def test_threads_of_one_ring_lose_no_key(ring: KeyRing) -> None:
    threads = [threading.Thread(target=rotate, args=(ring, Purpose.DATA)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ring.generation, len(ring.live(Purpose.DATA))) == (9, 9)
