import pytest

from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, State
from cypher.crypto.rotation import BY_HAND, rotate
from cypher.errors import OperatorError


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
