"""Blind index, signing, keyed hash, fake records, text form."""

import base64
import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from cypher.crypto import base64url
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.derive import KeyedMac
from cypher.crypto.fake import fake_record
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.mac import keyed_hash
from cypher.crypto.signing import private_key, public_bytes


async def test_an_index_depends_on_key_field_and_value(index: BlindIndex, make_ring, store, tmp_path) -> None:
    ours = index.index("alice", "users.username")
    other = BlindIndex(make_ring(at=type(store)(tmp_path / "other")))
    assert len(ours) == 16
    assert ours == index.index(b"alice", "users.username") == (await index.indexes("alice", "users.username"))[0]
    assert ours not in (
        index.index("alicf", "users.username"),
        index.index("alice", "devices.fingerprint"),
        index.index("ealice", "users.usernam"),
        other.index("alice", "users.username"),
    )


def test_signing_keys_sign_and_others_do_not(ring: KeyRing) -> None:
    key = ring.primary(Purpose.SIGNING)
    signature = private_key(key).sign(b"message")
    public = Ed25519PublicKey.from_public_bytes(public_bytes(key))
    public.verify(signature, b"message")
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"massage")
    for purpose in set(Purpose) - {Purpose.SIGNING, Purpose.AUDIT}:
        with pytest.raises(ValueError, match="not a key for signing"):
            private_key(ring.primary(purpose))


def test_keyed_hash_is_hmac_sha256(ring: KeyRing) -> None:
    key = ring.primary(Purpose.AUDIT_MAC)
    assert keyed_hash(key, b"entry") == hmac.new(key.secret, b"entry", hashlib.sha256).digest()


def test_a_fake_record_is_the_same_at_every_asking_and_another_for_every_name() -> None:
    key, public = bytes(range(32)), b"P" * 32
    record, credential_id = fake_record(key, "nobody", public)
    assert (record, credential_id) == fake_record(key, "nobody", public)
    assert record == public + hmac.new(key, b"mask\0nobody", hashlib.sha512).digest() + bytes(96)
    assert credential_id == hmac.new(key, b"id\0nobody", hashlib.sha256).digest()[:16]
    assert (len(record), len(credential_id)) == (192, 16)
    other_record, other_id = fake_record(key, "nobodz", public)
    assert other_record != record
    assert other_id != credential_id
    with pytest.raises(ValueError, match="32 bytes"):
        fake_record(key, "nobody", public[1:])


@given(st.binary(max_size=100))
def test_every_value_has_one_text(value: bytes) -> None:
    text = base64url.encode(value)
    assert base64url.decode(text) == value
    for other in (text + "=", text + "\n", " " + text, text.replace("-", "+"), text + "A"):
        if other != text:
            try:
                assert base64url.decode(other) != value
            except ValueError:
                continue


@pytest.mark.parametrize("text", ["A", "AB", "AAA=", "+/8", "é", "A A", "\ud800"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|padding|ascii|characters"):
        base64url.decode(text)


def same_when_encoded_again(text: bytes) -> bool:
    try:
        return base64.urlsafe_b64encode(base64.urlsafe_b64decode(text)) == text
    except ValueError:
        return False


@given(st.one_of(st.binary(max_size=12), st.text("ABgw8_-=+", max_size=12).map(str.encode)))
def test_a_text_is_canonical_when_its_value_is_encoded_as_it(text: bytes) -> None:
    assert base64url.is_canonical(text) == same_when_encoded_again(text)
    whole = base64.urlsafe_b64encode(text)
    assert base64url.is_canonical(whole)
    assert not base64url.is_canonical(whole + b"\n")


@given(key=st.binary(min_size=1, max_size=200), message=st.binary(max_size=200), info=st.binary(max_size=40))
def test_a_key_worked_in_once_gives_the_same_macs(key: bytes, message: bytes, info: bytes) -> None:
    mac = KeyedMac(key)
    for _ in range(2):
        assert mac.of(message) == hmac.digest(key, message, "sha256")
        derived = hmac.digest(key, info + b"\x01", "sha256")
        assert mac.derive(info) == derived
        assert mac.under(info).of(message) == hmac.digest(derived, message, "sha256")
