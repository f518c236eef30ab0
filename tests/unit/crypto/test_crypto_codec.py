import base64
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import FieldDoesNotOpen, KeysUnavailable
from tests.unit.crypto.conftest import CodecAtOnce

CELL = Cell("users", "opaque_record", UUID(int=7))
ROWS = st.one_of(st.uuids(), st.binary(max_size=64), st.text(st.characters(exclude_categories=["Cs"]), max_size=64))
SHARED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refuses(codec: CodecAtOnce, sealed: Sealed, cell: Cell) -> bool:
    try:
        codec.open(sealed, cell)
    except FieldDoesNotOpen as failure:
        # It says where, and never why: nothing to tell a wrong key from a wrong tag by.
        silent = failure.__cause__ is None and failure.__suppress_context__
        return silent and (str(failure), failure.where) == (FieldDoesNotOpen.message(), cell.name())
    return False


@SHARED
@given(plaintext=st.binary(max_size=1000), row=ROWS)
def test_a_value_opens_in_its_own_cell(codec: CodecAtOnce, plaintext: bytes, row: UUID | bytes | str) -> None:
    for purpose in (Purpose.DATA, Purpose.CACHE, Purpose.AUDIT_DATA):
        sealed = codec.seal(plaintext, Cell("t", "c", row), purpose)
        assert sealed.key_id.startswith(f"{purpose}-")
        assert codec.open(sealed, Cell("t", "c", row)) == plaintext


@SHARED
@given(plaintext=st.binary(max_size=100), data=st.data())
def test_any_other_text_does_not_open(codec: CodecAtOnce, plaintext: bytes, data: st.DataObject) -> None:
    sealed = codec.seal(plaintext, CELL)
    text = sealed.ciphertext
    at = data.draw(st.integers(0, len(text) - 1))
    drawn = data.draw(st.characters())
    changes = [text[:at] + drawn + text[at + 1 :], text[:at] + drawn + text[at:], text[:at], text + drawn]
    for changed in changes:
        assert changed == text or refuses(codec, Sealed(changed, sealed.key_id), CELL)


@pytest.mark.parametrize("text", ["", "=", "A", "AA", "=" * 4, "A" * 16, "\ud800", "\x00", "é" * 100, "gAAAAA=="])
def test_no_text_breaks_opening(codec: CodecAtOnce, ring: KeyRing, text: str) -> None:
    key_id = codec.seal(b"x", CELL).key_id
    assert refuses(codec, Sealed(text, key_id), CELL)
    assert refuses(codec, Sealed("gAAAAA==", text), CELL)


@pytest.mark.parametrize(
    "other",
    [
        Cell("users", "opaque_record", UUID(int=8)),
        Cell("users", "totp_secret", UUID(int=7)),
        Cell("user", "sopaque_record", UUID(int=7)),
        Cell("devices", "opaque_record", UUID(int=7)),
        Cell("users", "opaque_record", str(UUID(int=7))),
        Cell("users", "opaque_record", b""),
        Cell("users", "opaque_record", "\ud800"),
    ],
)
def test_a_moved_value_does_not_open(codec: CodecAtOnce, other: Cell) -> None:
    assert refuses(codec, codec.seal(b"secret", CELL), other)


def test_a_swapped_key_id_does_not_open(codec: CodecAtOnce) -> None:
    ring = codec.ring
    sealed = codec.seal(b"secret", CELL)
    others = [info.id for info in ring.get_key_info() if info.id != sealed.key_id]
    assert len(others) == 8
    for key_id in [*others, "", "data-20261123-00000000", sealed.key_id.upper(), sealed.key_id + "\x00"]:
        assert refuses(codec, Sealed(sealed.ciphertext, key_id), CELL)


def test_a_value_of_one_cipher_does_not_open_under_a_key_of_the_other(codec: CodecAtOnce) -> None:
    ring = codec.ring
    was = ring.primary(Purpose.DATA).algorithm
    before = codec.seal(b"secret", CELL)
    rotate(ring, Purpose.DATA, algorithm=Algorithm.FERNET if was is Algorithm.AES_256_GCM else Algorithm.AES_256_GCM)
    after = codec.seal(b"secret", CELL)
    assert codec.open(before, CELL) == codec.open(after, CELL) == b"secret"
    assert refuses(codec, Sealed(before.ciphertext, after.key_id), CELL)
    assert refuses(codec, Sealed(after.ciphertext, before.key_id), CELL)


def test_a_null_in_the_row_does_not_open(codec: CodecAtOnce) -> None:
    sealed = codec.seal(b"secret", CELL)
    assert refuses(codec, Sealed(None, sealed.key_id), CELL)
    assert refuses(codec, Sealed(sealed.ciphertext, None), CELL)


def test_equal_values_do_not_look_equal(codec: CodecAtOnce) -> None:
    assert len({codec.seal(b"secret", CELL).ciphertext for _ in range(100)}) == 100


def test_a_uuid_and_its_bytes_name_one_row(codec: CodecAtOnce) -> None:
    row = uuid4()
    assert codec.open(codec.seal(b"v", Cell("t", "c", row)), Cell("t", "c", row.bytes)) == b"v"


@pytest.mark.parametrize("purpose", sorted(set(Purpose) - {Purpose.DATA, Purpose.CACHE, Purpose.AUDIT_DATA}))
def test_a_key_that_is_not_for_sealing_seals_nothing(codec: CodecAtOnce, purpose: Purpose) -> None:
    with pytest.raises(ValueError, match="not a key that seals"):
        codec.seal(b"secret", CELL, purpose)


def test_the_plaintext_is_not_in_the_column(codec: CodecAtOnce) -> None:
    text = codec.seal(b"canary-canary-canary", CELL).ciphertext
    assert b"canary" not in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_nothing_is_sealed_with_a_ring_that_cannot_be_confirmed(ring: KeyRing, clock, file) -> None:
    codec = FieldCodec(ring)
    sealed = await codec.seal(b"secret", CELL)
    file.rename(file.with_name("away"))
    clock.pass_seconds(29)
    await codec.seal(b"secret", CELL)
    clock.pass_seconds(2)
    with pytest.raises(KeysUnavailable):
        await codec.seal(b"secret", CELL)
    assert await codec.open(sealed, CELL) == b"secret"
    file.with_name("away").rename(file)
    clock.pass_seconds(1)
    assert await codec.open(await codec.seal(b"secret", CELL), CELL) == b"secret"
