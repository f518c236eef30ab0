"""Roots, seals and checkpoints, byte by byte."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.merkle import leaf_hash, root_of
from cypher.crypto.sealing import NOTHING, Leaf, Mark, Statement, root_over
from cypher.crypto.signing import is_signed, public_bytes, sign

#: The leaves and roots that the tests of Certificate Transparency use, whose trees are those of RFC 9162.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATEMENT = Statement(seal_no=7, through_xid=900, count=3, root=b"r" * 32, previous=b"p" * 32, sealed_at=NOW)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_rfc_9162(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


def test_every_order_has_a_root_of_its_own_and_a_node_is_no_leaf() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(5)]
    assert len({root_of(order) for order in permutations(leaves)}) == 120
    node = b"\x01" + leaves[0] + leaves[1]
    assert root_of([leaf_hash(node[1:])]) != root_of(leaves[:2])
    assert root_of(leaves[:2]) == hashlib.sha256(node).digest()


def test_a_leaf_covers_entry_hash_and_class() -> None:
    leaf = Leaf(retention="long", entry_id=UUID(int=1), entry_hash=b"h" * 32)
    changes = ({"retention": "short"}, {"entry_id": UUID(int=2)}, {"entry_hash": b"i" * 32})
    assert len({root_over([leaf]), *(root_over([replace(leaf, **change)]) for change in changes)}) == 4


def test_a_seal_covers_all_that_it_says() -> None:
    changes = (
        {"seal_no": 8},
        {"through_xid": 901},
        {"count": 4},
        {"root": b"s" * 32},
        {"previous": NOTHING},
        {"sealed_at": NOW + timedelta(microseconds=1)},
    )
    every = [STATEMENT, *(replace(STATEMENT, **change) for change in changes)]
    assert len({each.digest() for each in every}) == len({each.message() for each in every}) == 7


def test_a_signature_is_of_one_key_and_one_message(ring: KeyRing) -> None:
    key, other = ring.primary(Purpose.AUDIT), ring.primary(Purpose.SIGNING)
    public, signature = public_bytes(key), sign(key, STATEMENT.message())
    assert is_signed(public, signature, STATEMENT.message())
    assert not is_signed(public_bytes(other), signature, STATEMENT.message())
    assert not is_signed(public, signature, replace(STATEMENT, seal_no=8).message())
    assert not is_signed(public, signature[:-1], STATEMENT.message())
    assert not is_signed(b"short", signature, STATEMENT.message())
    mark = Mark(store_id=UUID(int=1), seal_no=7, digest=STATEMENT.digest(), made_at=NOW)
    assert not is_signed(public, signature, mark.message())
