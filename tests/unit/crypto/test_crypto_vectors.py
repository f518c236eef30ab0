"""The published vectors: another implementation that follows `data.md` reads what this one writes."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.derive import derive
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keys import Algorithm, Purpose, State
from cypher.crypto.keystore import DirectoryKeyStore, Kdf
from cypher.crypto.making import make_key
from cypher.crypto.stored import StoredRing, decode_ring, encode_ring
from cypher.crypto.view import RingView
from cypher.crypto.wrapping import KeyEncryptionKey

FILE = Path(__file__).parents[2] / "vectors" / "derivations.json"
VECTORS = json.loads(FILE.read_text())


@given(key=st.binary(min_size=32, max_size=32), info=st.binary(max_size=200))
def test_derivation_is_one_block_of_rfc_5869(key: bytes, info: bytes) -> None:
    assert derive(key, info) == HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(key)


@pytest.mark.parametrize("vector", VECTORS["cell_keys"])
def test_cell_keys(vector: dict) -> None:
    cell = Cell(vector["table"], vector["column"], bytes.fromhex(vector["row_id"]))
    key = derive(bytes.fromhex(vector["data_key"]), cell.info())
    assert key.hex() == vector["cell_key"]
    assert base64.urlsafe_b64encode(key).decode() == vector["fernet_key"]


@pytest.mark.parametrize("vector", VECTORS["blind_indexes"])
async def test_blind_indexes(vector: dict, clock, tmp_path: Path) -> None:
    ring = ring_of(Purpose.INDEX, Algorithm.HMAC, bytes.fromhex(vector["index_key"]), clock, tmp_path)
    index = BlindIndex(ring)
    assert index.index(vector["value"], vector["field"]).hex() == vector["index"]
    assert [found.hex() for found in await index.indexes(vector["value"].encode(), vector["field"])] == [
        vector["index"]
    ]


@pytest.mark.parametrize("vector", VECTORS["sealed"], ids=lambda vector: vector["algorithm"])
async def test_sealed_values_open(vector: dict, clock, tmp_path: Path) -> None:
    key = bytes.fromhex(vector["data_key"])
    ring = ring_of(Purpose.DATA, Algorithm(vector["algorithm"]), key, clock, tmp_path)
    cell = Cell(vector["table"], vector["column"], bytes.fromhex(vector["row_id"]))
    sealed = Sealed(vector["ciphertext"], ring.primary(Purpose.DATA).id)
    assert await FieldCodec(ring).open(sealed, cell) == vector["plaintext"].encode()


def test_password_wrapping_and_check_keys() -> None:
    vector = VECTORS["wrapping"]
    kdf = Kdf(salt=bytes.fromhex(vector["salt"]), rounds=vector["rounds"])
    kek = KeyEncryptionKey.from_password(vector["master_password"], kdf)
    assert kek._key.hex() == vector["key_encryption_key"]
    info = f"cypher/v1/wrap\0{vector['purpose']}\0{vector['key_id']}".encode()
    assert derive(kek._key, info).hex() == vector["wrapping_key"]
    assert derive(kek._key, b"cypher/v1/check\0").hex() == vector["check_key"]


def test_the_published_key_store_opens(clock, tmp_path: Path) -> None:
    vector = VECTORS["keyring"]
    (tmp_path / "keys").mkdir(mode=0o700)
    file = tmp_path / "keys" / "keyring.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(vector["keyring.json"]))
    ring = KeyRing.open(DirectoryKeyStore(file.parent), vector["master_password"], clock)
    for key_id, secret in vector["opens_to"].items():
        assert ring.find(key_id).secret.hex() == secret
    assert (str(ring.store_id), ring.generation, ring.epoch) == ("0b7f3c1e-6a5d-7c2b-9f10-3d2a1b0c4e5f", 1, "e1")


def test_a_key_store_is_written_as_published() -> None:
    published = VECTORS["keyring"]["keyring.json"]
    assert json.loads(encode_ring(decode_ring(json.dumps(published).encode()))) == published


def ring_of(purpose: Purpose, algorithm: Algorithm, secret: bytes, clock, path: Path) -> KeyRing:
    kek = KeyEncryptionKey(bytes(32))
    key = make_key(kek, clock.now(), purpose, algorithm, secret)
    assert key.state is State.ACTIVE
    keyring = decode_ring(json.dumps(VECTORS["keyring"]["keyring.json"]).encode())
    stored = StoredRing(
        store_id=keyring.store_id, generation=1, epoch="e1", kdf=keyring.kdf, check=keyring.check, keys=(key,)
    )
    return KeyRing(DirectoryKeyStore(path), kek, clock, RingView(stored, None, kek))
