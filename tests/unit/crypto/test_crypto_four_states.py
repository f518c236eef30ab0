"""Instances do not change over at the same moment: whatever one seals, every other must open."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, State
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import rotate
from cypher.errors import FieldDoesNotOpen

CELL = Cell("users", "username", b"1")
#: The states of a key store in the life of a data key: alone, replaced, destroyed, and the next one replaced as well.
VERSIONS = ("one key", "a second active", "the first destroyed", "a third of another cipher")
PAIRS = list(itertools.product(range(len(VERSIONS)), repeat=2))


@pytest.fixture
def rings(ring: KeyRing, store, password, clock) -> list[KeyRing]:
    """A ring for each version, each opened while its version was the newest, none of which has looked since."""

    def destroy(stored):
        first = stored.keys[0]
        assert (first.purpose, first.state) == (Purpose.DATA, State.DECRYPT_ONLY)
        return stored.with_key(replace(first, state=State.DESTROYED, wrapped=""))

    found = [KeyRing.open(store, password, clock)]
    for step in (
        lambda: rotate(ring, Purpose.DATA),
        lambda: ring.change(destroy),
        lambda: rotate(ring, Purpose.DATA, algorithm=Algorithm.AES_256_GCM),
    ):
        step()
        found.append(KeyRing.open(store, password, clock))
    return found


@pytest.mark.parametrize(("writer", "reader"), PAIRS, ids=lambda version: VERSIONS[version])
async def test_what_one_version_seals_every_other_opens(rings, clock, writer: int, reader: int) -> None:
    # The delay before a key is destroyed is far longer than a ring is trusted: whoever seals now has looked again.
    clock.pass_seconds(31 if writer == 0 and reader >= 2 else 0)
    sealed = await FieldCodec(rings[writer]).seal(b"alice", CELL)
    clock.pass_seconds(1)
    assert await FieldCodec(rings[reader]).open(sealed, CELL) == b"alice"


async def test_what_was_sealed_under_a_destroyed_key_is_gone_for_all_who_have_looked(rings, clock) -> None:
    sealed = await FieldCodec(rings[0]).seal(b"alice", CELL)
    for version in (2, 3):
        with pytest.raises(FieldDoesNotOpen):
            await FieldCodec(rings[version]).open(sealed, CELL)


async def test_a_ring_follows_a_later_version_and_never_an_earlier_one(
    ring: KeyRing, password, clock, tmp_path: Path
) -> None:
    keys, earlier = tmp_path / "keys", tmp_path / "earlier"
    shutil.copytree(keys, earlier)
    rotate(ring, Purpose.DATA)
    later = KeyRing.open(DirectoryKeyStore(keys), password, clock)
    (earlier / "keyring.json").replace(keys / "keyring.json")
    assert not later.reload()
    assert not later.healthy
    assert len(later.live(Purpose.DATA)) == 2
