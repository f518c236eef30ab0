"""The keys of the trail's details: one a month, chosen by when something happened and not by who knows of the month."""

from datetime import UTC, datetime, timedelta

import pytest

from cypher.clock import month_after, month_of
from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose, State
from cypher.crypto.monthly import keep_months
from cypher.crypto.rotation import rotate
from cypher.errors import FieldDoesNotOpen, OperatorError

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
CELL = Cell("audit_logs", "details", b"row")


def states(ring: KeyRing) -> list[State]:
    return [info.state for info in ring.get_key_info() if info.purpose is Purpose.AUDIT_DATA]


@pytest.mark.parametrize(
    ("moment", "begins", "next_"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, 999_999, UTC), datetime(2026, 11, 1, tzinfo=UTC), DECEMBER),
        (DECEMBER, DECEMBER, JANUARY),
        (JANUARY - MOMENT, DECEMBER, JANUARY),
    ],
)
def test_a_month_begins_at_its_first_instant_in_utc(moment, begins, next_) -> None:
    assert (month_of(moment), month_after(moment)) == (begins, next_)


def test_the_next_months_key_is_made_ahead_once(ring: KeyRing, clock) -> None:
    (made,) = keep_months(ring, clock.now())
    assert (made.state, made.activated_at) == (State.PENDING, DECEMBER)
    assert keep_months(ring, clock.now()) == ()
    assert states(ring) == [State.ACTIVE, State.PENDING]


async def test_an_entry_is_sealed_with_its_months_key_before_anybody_has_turned_the_page(ring: KeyRing, clock) -> None:
    november = ring.primary(Purpose.AUDIT_DATA).id
    (december,) = keep_months(ring, clock.now())

    async def key_of(moment: datetime) -> str:
        return (await ring.confirmed(Purpose.AUDIT_DATA, moment)).id

    async def keys() -> list[str]:
        return [await key_of(moment) for moment in (DECEMBER - MOMENT, DECEMBER, JANUARY - MOMENT)]

    assert await keys() == [november, december.id, december.id]
    clock.time = DECEMBER
    changed = keep_months(ring, clock.now())
    assert sorted(key.state for key in changed) == [State.ACTIVE, State.DECRYPT_ONLY, State.PENDING]
    assert ring.primary(Purpose.AUDIT_DATA).id == december.id
    assert await keys() == [november, december.id, december.id]
    assert await key_of(datetime(2020, 1, 1, tzinfo=UTC)) == december.id  # before all keys: whichever is active


def test_a_service_that_slept_for_months_takes_up_with_the_month_it_wakes_in(ring: KeyRing, clock) -> None:
    keep_months(ring, clock.now())
    clock.time = datetime(2027, 4, 20, tzinfo=UTC)
    keep_months(ring, clock.now())
    assert states(ring) == [State.DECRYPT_ONLY, State.ACTIVE, State.PENDING]
    assert ring.stored.pending(Purpose.AUDIT_DATA).activated_at == datetime(2027, 5, 1, tzinfo=UTC)
    assert ring.stored.active(Purpose.AUDIT_DATA).id not in ring.stored.replacements()


def test_another_cipher_takes_over_at_once_and_for_the_months_to_come(ring: KeyRing, clock) -> None:
    keep_months(ring, clock.now())
    rotate(ring, Purpose.AUDIT_DATA, algorithm=Algorithm.AES_256_GCM)
    keep_months(ring, clock.now())
    assert states(ring) == [State.DECRYPT_ONLY, State.DESTROYED, State.ACTIVE, State.PENDING]
    pending = ring.stored.pending(Purpose.AUDIT_DATA)
    assert (pending.algorithm, pending.activated_at) == (Algorithm.AES_256_GCM, DECEMBER)
    clock.time = DECEMBER - timedelta(minutes=1)
    with pytest.raises(OperatorError, match="takes over"):
        rotate(ring, Purpose.AUDIT_DATA)


def test_rings_that_turn_the_page_at_once_make_one_key(ring: KeyRing, store, password, clock) -> None:
    rings = [ring, *(KeyRing.open(store, password, clock) for _ in range(3))]
    assert [bool(keep_months(each, clock.now())) for each in rings] == [True, False, False, False]
    clock.time = DECEMBER
    assert [bool(keep_months(each, clock.now())) for each in rings] == [True, False, False, False]
    assert len({each.primary(Purpose.AUDIT_DATA).id for each in rings}) == 1


async def test_a_value_with_a_further_secret_opens_with_both_or_not_at_all(ring: KeyRing) -> None:
    codec, further = FieldCodec(ring), b"s" * 32
    sealed = codec.seal_under(ring.primary(Purpose.AUDIT_DATA), b"alice", CELL, further=further)
    assert await codec.open(sealed, CELL, further=further) == b"alice"
    for wrong in (None, b"t" * 32, b""):
        with pytest.raises(FieldDoesNotOpen):
            await codec.open(sealed, CELL, further=wrong)
    with pytest.raises(FieldDoesNotOpen):
        await codec.open(sealed, Cell("audit_logs", "details", b"other row"), further=further)
    with pytest.raises(FieldDoesNotOpen):
        await codec.open(await codec.seal(b"alice", CELL, Purpose.AUDIT_DATA), CELL, further=further)
