"""What every key store promises, tried on each of them."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cypher.crypto import keystore
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, State
from cypher.crypto.keystore import KeyStore, StoredKey, StoredRing
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from tests.integration.key_stores.places import PASSWORD, Place, make_ring, open_ring

PENDING = StoredKey(
    id="signing-20270101-00000000",
    purpose=Purpose.SIGNING,
    algorithm=Algorithm.ED25519,
    state=State.PENDING,
    created_at=datetime(2027, 1, 1, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    activated_at=None,
    wrapped="QUJD",
)
DESTROYED = replace(
    PENDING,
    id="data-20270101-00000000",
    purpose=Purpose.DATA,
    algorithm=Algorithm.AES_256_GCM,
    state=State.DESTROYED,
    activated_at=datetime(2027, 1, 2, tzinfo=UTC),
    wrapped="",
)


@pytest.fixture
def stored(ring: KeyRing, store: KeyStore) -> StoredRing:
    found = store.read()
    assert found is not None
    return found


def write(store: KeyStore, ring: StoredRing) -> None:
    with store.lock():
        store.write(ring)


def test_there_is_no_ring_before_it_is_written(store: KeyStore) -> None:
    for _ in range(2):
        assert store.read() is None
        assert store.stamp() is None
        store.prepare()


def test_what_is_written_is_read_by_others_whole_and_in_its_order(stored, store, place: Place) -> None:
    for ring in (
        replace(stored, generation=2, keys=(DESTROYED, *stored.keys, PENDING)),
        replace(stored, generation=3, epoch="later", check="QUJD", keys=stored.keys[::-1]),
        replace(stored, generation=4, kdf=replace(stored.kdf, salt=b"\xff" * 16, rounds=10_000_000)),
        replace(stored, generation=5, keys=()),
    ):
        write(store, ring)
        assert place.store().read() == store.read() == ring


def test_the_stamp_differs_after_every_write_and_equal_stamps_are_equal_rings(stored, store, place: Place) -> None:
    seen = {store.stamp()}
    for generation in range(2, 22):
        write(store, replace(stored, generation=generation))
        assert place.store().stamp() == store.stamp()
        seen.add(store.stamp())
    assert len(seen) == 21
    assert None not in seen


@pytest.mark.parametrize(("field", "value"), [("epoch", "later"), ("key.state", "decrypt_only")])
def test_the_stamp_differs_after_a_change_by_hand(stored, store, place: Place, field: str, value: str) -> None:
    before = store.stamp()
    place.set(field, value)
    assert store.stamp() not in (before, None)


def test_nothing_is_written_or_removed_without_the_lock(stored, store, place: Place) -> None:
    before = place.content()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="without its lock"):
            store.write(replace(stored, generation=2))
        with pytest.raises(RuntimeError, match="without its lock"):
            store.remove()
        with store.lock():
            pass
    assert place.content() == before


def test_the_lock_keeps_other_threads_and_stores_out(stored, store, place: Place) -> None:
    order: list[str] = []

    def other(theirs: KeyStore) -> None:
        with theirs.lock():
            order.append("second")

    with store.lock():
        waiting = [threading.Thread(target=other, args=(theirs,)) for theirs in (store, place.store())]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join(0.05)
        order.append("first")
    for thread in waiting:
        thread.join()
    assert order == ["first", "second", "second"]


def test_a_lock_that_is_never_given_back_is_reported(stored, store, place: Place, monkeypatch) -> None:
    monkeypatch.setattr(keystore, "LOCK_SECONDS", 0.02)
    says = r"Another process has held .* Nothing was changed"
    with store.lock(), pytest.raises(KeyStoreRefused, match=says), place.store().lock():
        pytest.fail("locked twice")
    monkeypatch.undo()
    with store.lock():
        pass


def test_the_lock_is_given_back_after_an_error(stored, store, place: Place) -> None:
    with pytest.raises(ZeroDivisionError), store.lock():
        _ = 1 / 0
    with place.store().lock():
        pass


def test_several_writes_under_one_lock_are_each_taken(stored, store, place: Place) -> None:
    with store.lock():
        for generation in (2, 3, 4):
            store.write(replace(stored, generation=generation))
    assert place.store().read() == replace(stored, generation=4)


def test_a_removed_ring_is_gone_and_another_can_take_its_place(stored, store, place: Place) -> None:
    with store.lock():
        store.remove()
    assert (store.read(), place.store().read(), store.stamp()) == (None, None, None)
    write(store, replace(stored, generation=7))
    with store.lock():
        store.remove()
        store.write(replace(stored, generation=9))
    assert store.read() == replace(stored, generation=9)


def test_making_a_ring_over_one_that_is_there_opens_it(ring: KeyRing, place: Place) -> None:
    before = place.content()
    assert make_ring(place.store()).store_id == ring.store_id
    with pytest.raises(KeyStoreRefused, match="master password"):
        KeyRing.create(place.store(), "w" * 40, ring._clock, opaque_setup=bytes(128), rounds=1000)
    assert place.content() == before


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("version", 2, "format version 2"),
        ("generation", 0, "corrupt"),
        ("epoch", "e{1}", "corrupt"),
        ("check", "é", "corrupt"),
        ("check", "QUJD", "master password"),
        ("key.id", "data:1", "corrupt"),
        ("key.id", "data-20270101-00000000", "damaged"),
        ("key.purpose", "unknown", "corrupt"),
        ("key.purpose", "cache", "corrupt"),
        ("key.algorithm", "hmac", "corrupt"),
        ("key.state", "unknown", "corrupt"),
        ("key.state", "destroyed", "corrupt"),
        ("key.activated_at", None, "corrupt"),
        ("key.wrapped", "", "corrupt"),
        ("key.wrapped", "QUJD", "damaged"),
    ],
)
def test_what_this_version_would_not_have_written_is_refused_and_left_as_it_is(ring, place, field, value, says) -> None:
    place.set(field, value)
    before = place.content()
    with pytest.raises(KeyStoreRefused, match=f"{says}.* Nothing was changed"):
        open_ring(place.store())
    # Nor by whoever knew it before, nor by whoever would make a new one.
    assert not ring.reload()
    assert not ring.healthy
    for act in (lambda: rotate(ring, Purpose.DATA), lambda: make_ring(place.store())):
        with pytest.raises(KeyStoreRefused):
            act()
    assert place.content() == before


@pytest.mark.parametrize("became", ["missing", "older", "foreign", "of another epoch"])
def test_a_ring_that_is_not_this_one_any_more_is_neither_followed_nor_written(
    ring: KeyRing, place: Place, elsewhere: Place, became: str
) -> None:
    key = rotate(ring, Purpose.DATA)
    if became == "older":
        place.set("generation", 1)
    elif became == "of another epoch":
        place.set("epoch", "later")
    else:
        place.empty()
    if became == "foreign":
        make_ring(elsewhere.store())
        foreign = elsewhere.store().read()
        assert foreign
        write(place.store(), replace(foreign, generation=5))
    before = place.content()
    assert not ring.reload()
    assert not ring.healthy
    with pytest.raises(KeyStoreRefused):
        rotate(ring, Purpose.DATA)
    assert place.content() == before
    # What is known stays readable: sessions go on while the operator looks.
    assert ring.primary(Purpose.DATA).id == key.id


def test_a_store_that_comes_back_is_followed_again(ring: KeyRing, store, place: Place) -> None:
    good = store.read()
    place.empty()
    assert not ring.reload()
    assert not ring.healthy
    assert good
    write(store, good)
    ring.reload()
    assert ring.healthy
    new = rotate(open_ring(place.store()), Purpose.DATA)
    assert ring.reload()
    assert ring.primary(Purpose.DATA).id == new.id


def test_a_wrong_password_is_refused_and_changes_nothing(ring: KeyRing, place: Place) -> None:
    before = place.content()
    with pytest.raises(KeyStoreRefused, match=r"MASTER_ENCRYPTION_PASSWORD.* Nothing was changed"):
        KeyRing.open(place.store(), PASSWORD[:-1], ring._clock)
    assert place.content() == before
