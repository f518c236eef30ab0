"""What age alone does to a ring, on a clock that the test moves."""

from datetime import timedelta

import pytest

from cypher.crypto.keyring import KeyRing, Purpose, RotationPolicy, State
from cypher.crypto.keys import MARGIN
from cypher.crypto.rotation import NOTICE, keep_by_age, rotate
from cypher.errors import OperatorError

DAY = 86_400
POLICY = RotationPolicy(age=timedelta(days=90), operations=1000, token_life=timedelta(minutes=5))


def keep(ring: KeyRing, clock) -> list[tuple[Purpose, State]]:
    return [(key.purpose, key.state) for key in keep_by_age(ring, clock.now(), POLICY)]


def states(ring: KeyRing, purpose: Purpose) -> list[State]:
    return [info.state for info in ring.get_key_info() if info.purpose is purpose]


def test_nothing_is_due_before_its_day(ring: KeyRing, clock, file) -> None:
    before = file.read_bytes()
    clock.pass_seconds(90 * DAY - 1)
    assert keep(ring, clock) == []
    assert file.read_bytes() == before


def test_on_its_day_data_and_cache_keys_are_replaced_and_a_signing_key_is_announced(ring: KeyRing, clock) -> None:
    clock.pass_seconds(90 * DAY)
    signing = ring.primary(Purpose.SIGNING).id
    assert sorted(keep(ring, clock)) == [
        (Purpose.CACHE, State.ACTIVE),
        (Purpose.CACHE, State.DECRYPT_ONLY),
        (Purpose.DATA, State.ACTIVE),
        (Purpose.DATA, State.DECRYPT_ONLY),
        (Purpose.SIGNING, State.PENDING),
    ]
    assert ring.generation == 2  # one write for all of it
    assert ring.primary(Purpose.SIGNING).id == signing
    assert keep(ring, clock) == []
    others = set(Purpose) - {Purpose.DATA, Purpose.CACHE, Purpose.SIGNING}
    assert {state for purpose in others for state in states(ring, purpose)} == {State.ACTIVE}


def test_a_signing_key_is_known_before_it_signs_and_until_its_tokens_are_gone(ring: KeyRing, clock) -> None:
    old = ring.primary(Purpose.SIGNING).id
    new = rotate(ring, Purpose.SIGNING).id
    assert [key.id for key in ring.live(Purpose.SIGNING)] == [old, new]
    clock.pass_seconds(NOTICE.total_seconds() - 1)
    assert keep(ring, clock) == []
    clock.pass_seconds(1)
    assert sorted(keep(ring, clock)) == [(Purpose.SIGNING, State.ACTIVE), (Purpose.SIGNING, State.DECRYPT_ONLY)]
    assert ring.primary(Purpose.SIGNING).id == new
    clock.pass_seconds((POLICY.token_life + MARGIN).total_seconds() - 1)
    assert keep(ring, clock) == []
    assert ring.find(old) is not None
    clock.pass_seconds(1)
    assert keep(ring, clock) == [(Purpose.SIGNING, State.DESTROYED)]
    assert ring.find(old) is None
    assert [key.id for key in ring.live(Purpose.SIGNING)] == [new]


def test_a_second_signing_key_is_not_announced_while_one_is_pending(ring: KeyRing, file) -> None:
    rotate(ring, Purpose.SIGNING)
    before = file.read_bytes()
    with pytest.raises(OperatorError, match="pending"):
        rotate(ring, Purpose.SIGNING)
    assert file.read_bytes() == before


def test_a_cache_key_goes_when_all_it_sealed_has_expired_and_a_data_key_never_by_itself(ring: KeyRing, clock) -> None:
    cache, data = rotate(ring, Purpose.CACHE), rotate(ring, Purpose.DATA)
    clock.pass_seconds((POLICY.redis_life + MARGIN).total_seconds() - 1)
    assert keep(ring, clock) == []
    clock.pass_seconds(1)
    assert keep(ring, clock) == [(Purpose.CACHE, State.DESTROYED)]
    assert [key.id for key in ring.live(Purpose.CACHE)] == [cache.id]
    clock.pass_seconds(80 * DAY)
    keep(ring, clock)
    assert [key.state for key in ring.live(Purpose.DATA)] == [State.ACTIVE, State.DECRYPT_ONLY]
    assert ring.primary(Purpose.DATA).id == data.id


def test_rings_that_find_the_same_keys_due_make_one_of_each(ring: KeyRing, store, password, clock) -> None:
    rings = [ring, *(KeyRing.open(store, password, clock) for _ in range(3))]
    clock.pass_seconds(90 * DAY)
    changed = [keep_by_age(each, clock.now(), POLICY) for each in rings]
    assert [bool(keys) for keys in changed] == [True, False, False, False]
    assert len({each.primary(Purpose.DATA).id for each in rings}) == 1


def test_the_next_rotation_and_what_a_database_knows_are_shown(ring: KeyRing, clock) -> None:
    from cypher.crypto.keyring import KeyUse

    old, new = ring.primary(Purpose.DATA).id, rotate(ring, Purpose.DATA).id
    uses = {old: KeyUse(operations=5, rows=3)}
    infos = {info.id: info for info in ring.get_key_info(uses, POLICY)}
    assert (infos[old].operations, infos[old].rows_remaining) == (5, 3)
    assert (infos[new].operations, infos[new].rows_remaining) == (None, None)
    assert (infos[old].next_rotation_at, infos[old].replaced_at) == (None, clock.now())
    assert infos[new].next_rotation_at == clock.now() + timedelta(days=90)
    assert infos[ring.primary(Purpose.OPAQUE).id].next_rotation_at is None
