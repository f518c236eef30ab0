from datetime import timedelta

import pytest

from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, State
from cypher.crypto.rotation import RotationPolicy, rotate, rotation_due
from cypher.errors import OperatorError

POLICY = RotationPolicy(age=timedelta(days=90), operations=1000)


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


@pytest.mark.parametrize("purpose", sorted(set(Purpose) - {Purpose.DATA, Purpose.CACHE}))
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


def test_a_key_is_due_by_age_or_by_use(ring: KeyRing, clock) -> None:
    key, now = ring.primary(Purpose.DATA), clock.now()
    assert not rotation_due(key, now, 999, POLICY)
    assert rotation_due(key, now, 1000, POLICY)
    assert not rotation_due(key, now + timedelta(days=90, microseconds=-1), 0, POLICY)
    assert rotation_due(key, now + timedelta(days=90), 0, POLICY)


def test_cache_keys_are_due_by_age_only_and_others_never(ring: KeyRing, clock) -> None:
    now = clock.now()
    assert not rotation_due(ring.primary(Purpose.CACHE), now, 10**9, POLICY)
    assert rotation_due(ring.primary(Purpose.CACHE), now + timedelta(days=90), 0, POLICY)
    assert not rotation_due(ring.primary(Purpose.OPAQUE), now + timedelta(days=9000), 10**9, POLICY)
    rotate(ring, Purpose.DATA)
    assert not rotation_due(ring.first(Purpose.DATA), now + timedelta(days=9000), 10**9, POLICY)
