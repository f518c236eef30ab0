import copy
import json
import traceback
from dataclasses import replace
from datetime import timedelta

import pytest

from cypher.crypto import keyring, keystore
from cypher.crypto.keyring import Algorithm, Key, KeyRing, Purpose, State, UnknownKey
from cypher.crypto.rotation import rotate
from cypher.crypto.stored import encode_ring
from cypher.crypto.wrapping import KeyEncryptionKey
from cypher.errors import KeyStoreRefused, OperatorError


def test_a_new_ring_has_one_active_key_of_every_purpose(ring: KeyRing, store, password, clock) -> None:
    infos = ring.get_key_info()
    assert [info.purpose for info in infos] == list(Purpose)
    assert {info.state for info in infos} == {State.ACTIVE}
    assert all(info.id.startswith(f"{info.purpose}-20261123-") for info in infos)
    assert ring.generation == 1
    assert len(ring.epoch) == 8
    assert len({ring.primary(purpose).secret for purpose in Purpose}) == len(Purpose)
    again = KeyRing.open(store, password, clock)
    for purpose in Purpose:
        assert again.primary(purpose).secret == ring.primary(purpose).secret
        assert len(again.primary(purpose).secret) == (128 if purpose is Purpose.OPAQUE else 32)
    assert (again.store_id, again.epoch) == (ring.store_id, ring.epoch)


def test_what_does_not_fit_makes_no_store(store, password, clock, file) -> None:
    for setup, algorithm, rounds in [
        (bytes(127), Algorithm.FERNET, 1000),
        (bytes(128), Algorithm.HMAC, 1000),
        (bytes(128), Algorithm.FERNET, 0),
    ]:
        with pytest.raises(ValueError, match=r"bytes|is not for|rounds"):
            KeyRing.create(store, password, clock, opaque_setup=setup, rounds=rounds, data_algorithm=algorithm)
    assert not file.parent.exists()


def test_a_wrong_password_is_refused_and_changes_nothing(ring: KeyRing, store, clock, file) -> None:
    before = file.read_bytes(), file.stat().st_mtime_ns, sorted(file.parent.iterdir())
    for wrong in ("w" * 40, "", "é", "\udcff" * 32):
        with pytest.raises(KeyStoreRefused, match="MASTER_ENCRYPTION_PASSWORD"):
            KeyRing.open(store, wrong, clock)
    assert (file.read_bytes(), file.stat().st_mtime_ns, sorted(file.parent.iterdir())) == before


def test_a_password_that_is_no_text_is_refused_without_being_shown(ring: KeyRing, store, clock) -> None:
    secret = "hush" * 8 + "\ud800"
    with pytest.raises(KeyStoreRefused) as refused:
        KeyRing.open(store, secret, clock)
    assert "hushhush" not in "".join(traceback.format_exception(refused.value))


def test_swapped_wrapped_keys_are_refused(ring: KeyRing, store, password, clock, file) -> None:
    rotate(ring, Purpose.DATA)
    good = json.loads(file.read_text())
    names = [key["purpose"] + key["state"] for key in good["keys"]]
    for one in range(len(names)):
        for other in range(one):
            bad = copy.deepcopy(good)
            keys = bad["keys"]
            keys[one]["wrapped"], keys[other]["wrapped"] = keys[other]["wrapped"], keys[one]["wrapped"]
            file.write_text(json.dumps(bad))
            with pytest.raises(KeyStoreRefused, match="damaged"):
                KeyRing.open(store, password, clock)


@pytest.mark.parametrize("field", ["id", "purpose"])
def test_a_renamed_key_is_refused(ring: KeyRing, store, password, clock, file, field: str) -> None:
    bad = json.loads(file.read_text())
    data, cache = (next(key for key in bad["keys"] if key["purpose"] == name) for name in ("data", "cache"))
    data[field], cache[field] = cache[field], data[field]
    file.write_text(json.dumps(bad))
    with pytest.raises(KeyStoreRefused, match="damaged"):
        KeyRing.open(store, password, clock)


def test_another_store_id_is_refused(ring: KeyRing, store, password, clock, file) -> None:
    bad = json.loads(file.read_text())
    bad["store_id"] = "0b7f3c1e-6a5d-7c2b-9f10-3d2a1b0c4e5f"
    file.write_text(json.dumps(bad))
    with pytest.raises(KeyStoreRefused, match="master password"):
        KeyRing.open(store, password, clock)


def test_no_secret_is_ever_printed(ring: KeyRing) -> None:
    key = ring.primary(Purpose.DATA)
    kek = ring._kek
    shown = " ".join(
        f"{thing!r} {thing}" for thing in (key, ring, kek, ring._view, ring.live(Purpose.DATA), ring.get_key_info())
    )
    for secret in (key.secret, kek._key):
        for form in (repr(secret)[2:-1], secret.hex()):
            assert form not in shown
    assert "***" in repr(kek)
    assert not hasattr(ring.get_key_info()[0], "secret")
    assert key == replace(key, secret=bytes(32))


def test_keys_are_unwrapped_on_first_use(ring: KeyRing, store, password, clock, monkeypatch) -> None:
    again = KeyRing.open(store, password, clock)
    opened: list[str] = []
    unwrap = KeyEncryptionKey.unwrap
    monkeypatch.setattr(
        KeyEncryptionKey, "unwrap", lambda self, *given: (opened.append(given[1]), unwrap(self, *given))[1]
    )
    key = again.primary(Purpose.DATA)
    assert again.primary(Purpose.DATA) is again.find(key.id) is key
    assert opened == [key.id]


async def test_a_key_of_another_process_is_known_at_once(ring: KeyRing, store, password, clock) -> None:
    other = KeyRing.open(store, password, clock)
    for _ in range(3):
        clock.pass_seconds(1)
        new = rotate(other, Purpose.DATA)
        # A stranger's unknown ids must not keep the ring from learning of real ones.
        with pytest.raises(UnknownKey):
            await ring.key("data-20261123-00000000")
        assert (await ring.key(new.id)).id == new.id
        assert ring.generation == other.generation
    assert ring.primary(Purpose.DATA).id == new.id


async def test_an_unknown_id_of_a_broken_store_reads_it_once_a_second(ring: KeyRing, clock, file, monkeypatch) -> None:
    file.write_bytes(b"broken")
    reads: list[int] = []
    read = type(ring._store).read
    monkeypatch.setattr(type(ring._store), "read", lambda self: (reads.append(1), read(self))[1])
    for _ in range(5):
        with pytest.raises(UnknownKey):
            await ring.key("no such key")
    assert len(reads) == 1
    clock.pass_seconds(1)
    with pytest.raises(UnknownKey):
        await ring.key("no such key")
    assert len(reads) == 2


def test_live_keys_come_active_first_and_the_first_stays_first(ring: KeyRing, clock) -> None:
    ids = [ring.primary(Purpose.DATA).id]
    for _ in range(3):
        clock.pass_seconds(60)
        ids.append(rotate(ring, Purpose.DATA).id)
    assert [key.id for key in ring.live(Purpose.DATA)] == ids[::-1]
    assert ring.first(Purpose.DATA).id == ids[0]
    assert [key.state for key in ring.live(Purpose.DATA)] == [State.ACTIVE, *[State.DECRYPT_ONLY] * 3]


def test_the_first_stays_first_when_a_clock_goes_back(ring: KeyRing, clock) -> None:
    first = ring.primary(Purpose.OPAQUE).id
    clock.time -= timedelta(days=365)
    second = rotate(ring, Purpose.OPAQUE, secret=bytes(range(128))).id
    # Unknown names are answered under the first setup for ever, and it is never destroyed.
    assert ring.first(Purpose.OPAQUE).id == first
    assert [key.id for key in ring.live(Purpose.OPAQUE)] == [second, first]


def test_reload_tells_whether_anything_is_new(ring: KeyRing, store, password, clock) -> None:
    other = KeyRing.open(store, password, clock)
    assert not ring.reload()
    rotate(other, Purpose.CACHE)
    assert ring.reload()
    assert not ring.reload()


def damage_nothing_left(file, elsewhere) -> None:
    file.unlink()


def damage_truncated(file, elsewhere) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def damage_another_password(file, elsewhere) -> None:
    ring = json.loads(file.read_text())
    ring["generation"] += 1
    ring["check"] = json.loads(elsewhere.read_text())["check"]
    file.write_text(json.dumps(ring))


def damage_another_store(file, elsewhere) -> None:
    file.write_bytes(elsewhere.read_bytes())


def damage_another_epoch(file, elsewhere) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "epoch": "later"}))


def damage_an_older_copy(file, elsewhere) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "generation": 1}))


def damage_a_lost_directory(file, elsewhere) -> None:
    file.parent.rename(file.parent.with_name("lost"))


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_left,
        damage_truncated,
        damage_another_password,
        damage_another_store,
        damage_another_epoch,
        damage_an_older_copy,
        damage_a_lost_directory,
    ],
)
def test_a_store_that_is_not_this_ring_any_more_is_neither_followed_nor_written(
    ring: KeyRing, make_ring, store, file, tmp_path, damage
) -> None:
    make_ring(at=type(store)(tmp_path / "elsewhere"))
    key = rotate(ring, Purpose.DATA)
    damage(file, tmp_path / "elsewhere" / "keyring.json")
    before = file.read_bytes() if file.exists() else None
    assert not ring.reload()
    assert not ring.healthy
    with pytest.raises(OperatorError):
        rotate(ring, Purpose.DATA)
    assert (file.read_bytes() if file.exists() else None) == before
    assert file.parent.exists() == (damage is not damage_a_lost_directory)
    # What is known stays readable: sessions go on while the operator looks.
    assert ring.primary(Purpose.DATA).id == key.id
    assert len(ring.live(Purpose.DATA)) == 2


def test_an_unhealthy_ring_says_why_once(ring: KeyRing, file, caplog) -> None:
    file.unlink()
    for _ in range(3):
        ring.reload()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(file.parent) in caplog.text


def test_a_store_never_grows_beyond_what_can_be_read(ring: KeyRing, store, password, clock, file, monkeypatch) -> None:
    opaque = [
        ring.new_key(Purpose.OPAQUE, Algorithm.OPAQUE, state=State.DECRYPT_ONLY, secret=bytes(128))
    ]  # the longest
    many = [replace(opaque[0], id=f"opaque-20261123-{number:08x}") for number in range(keyring.MOST_KEYS)]
    size = len(encode_ring(replace(ring.stored, keys=(*ring.stored.keys, *many))))
    assert size < keystore.LARGEST
    monkeypatch.setattr(keyring, "MOST_KEYS", len(Purpose) + 1)
    rotate(ring, Purpose.DATA)
    before = file.read_bytes()
    with pytest.raises(KeyStoreRefused, match=r"KEY_ROTATION_OPERATIONS.* Nothing was changed"):
        rotate(ring, Purpose.DATA)
    assert file.read_bytes() == before
    ring.rewrap(password, 2000)
    assert KeyRing.open(store, password, clock).generation == 3


def test_a_purpose_without_a_key_is_refused(ring: KeyRing, store, password, clock, file) -> None:
    bad = json.loads(file.read_text())
    bad["keys"] = [key for key in bad["keys"] if key["purpose"] != "index"]
    file.write_text(json.dumps(bad))
    again = KeyRing.open(store, password, clock)
    for call in (again.primary, again.first):
        with pytest.raises(KeyStoreRefused, match="index"):
            call(Purpose.INDEX)


async def test_a_destroyed_key_is_shown_and_unknown(ring: KeyRing, store, password, clock, file) -> None:
    old = ring.primary(Purpose.DATA).id
    rotate(ring, Purpose.DATA)
    bad = json.loads(file.read_text())
    gone = next(key for key in bad["keys"] if key["id"] == old)
    gone["state"], gone["wrapped"] = "destroyed", ""
    file.write_text(json.dumps({**bad, "generation": bad["generation"] + 1}))
    again = KeyRing.open(store, password, clock)
    assert old in [info.id for info in again.get_key_info()]
    with pytest.raises(UnknownKey):
        await again.key(old)
    # Also for a ring that had it open.
    assert ring.reload()
    with pytest.raises(UnknownKey):
        await ring.key(old)
    assert isinstance(ring.primary(Purpose.DATA), Key)
