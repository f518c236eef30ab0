"""A setup of OPAQUE that was made elsewhere: kept, never active, and never the one that answers for unknown names."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cypher.auth.opaque import accept_setup, new_setup
from cypher.clock import Clock
from cypher.crypto.keyring import KeyRing, Purpose, State
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import adopt, rotate
from cypher.errors import MalformedOpaqueMessage


def test_it_is_kept_once_and_changes_nothing_of_the_others(ring: KeyRing) -> None:
    first, active, setup = ring.first(Purpose.OPAQUE), ring.primary(Purpose.OPAQUE), new_setup()
    key_id, is_new = adopt(ring, Purpose.OPAQUE, setup)
    generation = ring.generation
    assert is_new
    assert adopt(ring, Purpose.OPAQUE, setup) == (key_id, False)
    assert adopt(ring, Purpose.OPAQUE, active.secret) == (active.id, False)
    assert ring.generation == generation
    kept = ring.find(key_id)
    assert kept is not None
    assert (kept.secret, kept.state, kept.activated_at) == (setup, State.DECRYPT_ONLY, None)
    assert (ring.first(Purpose.OPAQUE).id, ring.primary(Purpose.OPAQUE).id) == (first.id, active.id)


def test_it_was_out_of_use_from_the_start_and_the_active_one_is_in_use(ring: KeyRing) -> None:
    key_id, _ = adopt(ring, Purpose.OPAQUE, new_setup())
    replaced = {info.id: info.replaced_at for info in ring.get_key_info()}
    kept = ring.find(key_id)
    assert kept is not None
    assert replaced[key_id] == kept.created_at
    assert replaced[ring.primary(Purpose.OPAQUE).id] is None
    turned = rotate(ring, Purpose.OPAQUE, secret=new_setup())
    assert turned is not None
    assert ring.primary(Purpose.OPAQUE).id == turned.id
    assert ring.find(key_id) is not None


def test_of_many_who_keep_one_at_once_one_does(ring: KeyRing, tmp_path: Path, clock: Clock, password: str) -> None:
    rings = [KeyRing.open(DirectoryKeyStore(tmp_path / "keys"), password, clock) for _ in range(8)]
    setup = new_setup()
    with ThreadPoolExecutor(len(rings)) as pool:
        kept = list(pool.map(lambda each: adopt(each, Purpose.OPAQUE, setup), rings))
    assert len({key_id for key_id, _ in kept}) == 1
    assert [is_new for _, is_new in kept].count(True) == 1
    ring.reload()
    assert [key.secret for key in ring.live(Purpose.OPAQUE)].count(setup) == 1


@pytest.mark.parametrize("raw", [b"", bytes(64), bytes(128), new_setup()[:-1], new_setup() + b"x"])
def test_what_is_no_setup_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedOpaqueMessage):
        accept_setup(raw)
