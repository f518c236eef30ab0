"""Second factors: a step once and upwards, a recovery code once, no more attempts than the limits have room for."""

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from cypher.clock import new_id
from cypher.config.factors import FactorLimits
from cypher.errors import FieldDoesNotOpen
from cypher.repositories import Repositories
from cypher.repositories.factors import Attempt
from cypher.settings import Limit
from tests.factories import CLOCK, as_owner, insert_person

SECRET = b"12345678901234567890"
MINUTES = timedelta(minutes=15)
DAY = timedelta(days=1)
LIMITS = FactorLimits(short=Limit(hits=5, window=MINUTES), day=Limit(hits=20, window=DAY), total=100)
WIDE = FactorLimits(short=None, day=Limit(hits=1000, window=DAY), total=1000)


@pytest.fixture
async def person(db) -> UUID:
    return (await insert_person(db)).id


@pytest.fixture
async def enrolled(db, person: UUID) -> UUID:
    async with db.transaction() as repos:
        assert await repos.factors.set_pending_secret(person, SECRET)
        assert await repos.factors.enable_totp(await counted(repos, person), 10)
    return person


async def counted(repos: Repositories, user_id: UUID) -> Attempt:
    return await repos.factors.insert_attempt(new_id(CLOCK), user_id, WIDE)


async def find_secret(repos: Repositories, user_id: UUID) -> bytes | None:
    open_secret = (await counted(repos, user_id)).open_secret
    return await open_secret() if open_secret else None


async def attempt(db, user_id: UUID, limits: FactorLimits = LIMITS):
    async with db.transaction() as repos:
        assert await repos.users.hold_user(user_id)
        return await repos.factors.insert_attempt(new_id(CLOCK), user_id, limits)


async def attempts(db, user_id: UUID, count: int, limits: FactorLimits = LIMITS) -> list[bool]:
    return [(await attempt(db, user_id, limits)).admitted for _ in range(count)]


def age(config, user_id: UUID, by: timedelta) -> None:
    as_owner(config, "UPDATE factor_failures SET failed_at = failed_at - %s WHERE user_id = %s", by, user_id)


def state(config, user_id: UUID) -> tuple[object, ...]:
    [row] = as_owner(
        config,
        "SELECT totp_secret, totp_enabled, totp_last_step, totp_failures_total FROM users WHERE id = %s",
        user_id,
    )
    return row


# -- the secret ---------------------------------------------------------------------------------------------


async def test_a_secret_waits_until_it_is_confirmed_and_is_sealed(db, person: UUID, postgres_config) -> None:
    async with db.transaction() as repos:
        assert await find_secret(repos, person) is None
        assert await repos.factors.set_pending_secret(person, SECRET)
        assert await find_secret(repos, person) == SECRET
        waiting = await repos.factors.find_factors(person)
    assert (waiting.totp_enabled, waiting.totp_pending, waiting.recovery_codes) == (False, True, 0)
    stored, enabled, step, _ = state(postgres_config, person)
    assert isinstance(stored, str)
    assert not enabled
    assert step is None


async def test_enrolling_again_replaces_what_waits_and_nothing_that_is_enrolled(db, person: UUID) -> None:
    async with db.transaction() as repos:
        assert await repos.factors.set_pending_secret(person, SECRET)
        assert await repos.factors.set_pending_secret(person, SECRET[::-1])
        assert await find_secret(repos, person) == SECRET[::-1]
        assert await repos.factors.enable_totp(await counted(repos, person), 10)
        assert not await repos.factors.enable_totp(await counted(repos, person), 11)
        assert not await repos.factors.set_pending_secret(person, SECRET)
        assert await find_secret(repos, person) == SECRET[::-1]


async def test_another_persons_secret_does_not_open(db, enrolled: UUID, postgres_config) -> None:
    other = (await insert_person(db)).id
    as_owner(
        postgres_config,
        "UPDATE users SET (totp_secret, totp_secret_key_id) = (SELECT totp_secret, totp_secret_key_id FROM users"
        " WHERE id = %s) WHERE id = %s",
        enrolled,
        other,
    )
    async with db.connection() as repos:
        with pytest.raises(FieldDoesNotOpen):
            await find_secret(repos, other)


async def test_removing_takes_everything_and_only_once(db, enrolled: UUID, postgres_config) -> None:
    async with db.transaction() as repos:
        await repos.factors.replace_recovery_codes(enrolled, [secrets.token_bytes(32)])
        assert await repos.factors.remove_factors(enrolled)
        assert not await repos.factors.remove_factors(enrolled)
        found = await repos.factors.find_factors(enrolled)
    assert (found.totp_enabled, found.totp_pending, found.recovery_codes) == (False, False, 0)
    assert state(postgres_config, enrolled) == (None, False, None, 0)
    async with db.transaction() as repos:
        assert not await repos.factors.use_step(await counted(repos, enrolled), 99)


# -- once ---------------------------------------------------------------------------------------------------


async def test_a_step_is_accepted_once_and_none_before_it(db, enrolled: UUID) -> None:
    async with db.connection() as repos:
        steps = (9, 10, 11, 11, 10, 13, 12, 13, 14)
        accepted = [await repos.factors.use_step(await counted(repos, enrolled), step) for step in steps]
    assert accepted == [False, False, True, False, False, True, False, False, True]


async def test_a_step_of_what_is_not_confirmed_is_not_accepted(db, person: UUID) -> None:
    async with db.transaction() as repos:
        await repos.factors.set_pending_secret(person, SECRET)
        assert not await repos.factors.use_step(await counted(repos, person), 11)


async def test_of_32_uses_of_one_step_at_once_one_succeeds(db, enrolled: UUID) -> None:
    async def use(step: int) -> bool:
        async with db.connection() as repos:
            return await repos.factors.use_step(await counted(repos, enrolled), step)

    for step in range(20, 25):
        assert sum(await asyncio.gather(*(use(step) for _ in range(32)))) == 1


async def test_of_32_uses_of_one_recovery_code_at_once_one_succeeds(db, enrolled: UUID) -> None:
    hashes = [secrets.token_bytes(32) for _ in range(10)]
    async with db.transaction() as repos:
        await repos.factors.replace_recovery_codes(enrolled, hashes)

    async def use(code_hash: bytes) -> bool:
        async with db.connection() as repos:
            return await repos.factors.use_recovery_code(await counted(repos, enrolled), code_hash)

    for code_hash in hashes[:3]:
        assert sum(await asyncio.gather(*(use(code_hash) for _ in range(32)))) == 1
    async with db.connection() as repos:
        assert (await repos.factors.find_factors(enrolled)).recovery_codes == 7


async def test_a_recovery_code_is_its_owners_alone_and_ends_when_new_ones_come(db, enrolled: UUID) -> None:
    other = (await insert_person(db)).id
    mine, theirs, newer = (secrets.token_bytes(32) for _ in range(3))
    async with db.transaction() as repos:
        await repos.factors.replace_recovery_codes(enrolled, [mine])
        await repos.factors.replace_recovery_codes(other, [theirs])
        assert not await repos.factors.use_recovery_code(await counted(repos, enrolled), theirs)
        await repos.factors.replace_recovery_codes(enrolled, [newer])
        assert not await repos.factors.use_recovery_code(await counted(repos, enrolled), mine)
        assert await repos.factors.use_recovery_code(await counted(repos, enrolled), newer)
        assert await repos.factors.use_recovery_code(await counted(repos, other), theirs)


# -- the limits ---------------------------------------------------------------------------------------------


async def test_five_attempts_in_fifteen_minutes_twenty_a_day(db, enrolled: UUID, postgres_config) -> None:
    for _ in range(3):
        assert await attempts(db, enrolled, 7) == [True] * 5 + [False] * 2
        refused = await attempt(db, enrolled)
        assert refused.full == LIMITS.short
        assert timedelta(minutes=14) < refused.wait <= MINUTES
        age(postgres_config, enrolled, MINUTES)
    assert await attempts(db, enrolled, 5) == [True] * 5
    age(postgres_config, enrolled, MINUTES)
    refused = await attempt(db, enrolled)
    assert not refused.admitted
    assert refused.full == LIMITS.day
    assert timedelta(hours=22) < refused.wait <= DAY - 3 * MINUTES
    age(postgres_config, enrolled, DAY - 4 * MINUTES)
    assert await attempts(db, enrolled, 6) == [True] * 5 + [False]


async def test_an_attempt_is_free_again_when_the_oldest_of_five_leaves_the_window(
    db, enrolled: UUID, postgres_config
) -> None:
    assert await attempts(db, enrolled, 1) == [True]
    age(postgres_config, enrolled, MINUTES / 2)
    assert await attempts(db, enrolled, 5) == [True] * 4 + [False]
    assert (await attempt(db, enrolled)).wait <= MINUTES / 2
    age(postgres_config, enrolled, MINUTES / 2)
    assert await attempts(db, enrolled, 3) == [True, False, False]


async def test_of_32_attempts_at_once_exactly_five_are_admitted(db, enrolled: UUID, postgres_config) -> None:
    for _ in range(3):
        admitted = await asyncio.gather(*(attempt(db, enrolled) for _ in range(32)))
        assert sum(each.admitted for each in admitted) == 5
        age(postgres_config, enrolled, MINUTES)


async def test_a_right_code_takes_back_its_own_attempt_and_no_other(db, enrolled: UUID, postgres_config) -> None:
    code_hash = secrets.token_bytes(32)
    async with db.transaction() as repos:
        await repos.factors.replace_recovery_codes(enrolled, [code_hash])
    assert await attempts(db, enrolled, 3) == [True] * 3
    for in_a_row, kind, code in ((4, "use_step", 11), (1, "use_recovery_code", code_hash), (1, "use_step", 12)):
        async with db.transaction() as repos:
            await repos.users.hold_user(enrolled)
            right = await repos.factors.insert_attempt(new_id(CLOCK), enrolled, LIMITS)
            assert right.in_a_row == in_a_row
            assert await getattr(repos.factors, kind)(right, code)
    assert state(postgres_config, enrolled)[3] == 0
    assert await attempts(db, enrolled, 3) == [True, True, False]


async def test_a_wrong_code_takes_nothing_back(db, enrolled: UUID, postgres_config) -> None:
    for kind, code in (("use_step", 10), ("use_recovery_code", secrets.token_bytes(32)), ("enable_totp", 11)):
        async with db.transaction() as repos:
            assert not await getattr(repos.factors, kind)(await counted(repos, enrolled), code)
    assert state(postgres_config, enrolled)[3] == 3
    assert as_owner(postgres_config, "SELECT count(*) FROM factor_failures") == [(3,)]


async def test_a_hundred_in_a_row_disable_the_factor_until_it_is_reset(db, enrolled: UUID, postgres_config) -> None:
    as_owner(postgres_config, "UPDATE users SET totp_failures_total = 98 WHERE id = %s", enrolled)
    assert [(await attempt(db, enrolled)).in_a_row for _ in range(2)] == [99, 100]
    age(postgres_config, enrolled, DAY)
    refused = await attempt(db, enrolled)
    assert (refused.admitted, refused.full) == (False, None)
    assert state(postgres_config, enrolled)[3] == 100
    async with db.transaction() as repos:
        assert await repos.factors.remove_factors(enrolled)
    assert (await attempt(db, enrolled)).admitted


async def test_limits_that_are_off_let_everything_pass_but_the_hundred(db, enrolled: UUID, postgres_config) -> None:
    off = replace(LIMITS, short=None, day=None)
    assert await attempts(db, enrolled, 25, off) == [True] * 25
    assert await attempts(db, enrolled, 80, off) == [True] * 75 + [False] * 5
    only_day = replace(LIMITS, short=None, total=1000)
    async with db.transaction() as repos:
        await repos.factors.delete_failures(enrolled)
    assert await attempts(db, enrolled, 22, only_day) == [True] * 20 + [False] * 2


async def test_failures_outside_of_every_window_are_forgotten_and_others_stay(
    db, enrolled: UUID, postgres_config
) -> None:
    other = (await insert_person(db)).id
    await attempts(db, enrolled, 4)
    await attempts(db, other, 2)
    age(postgres_config, enrolled, DAY)
    assert (await attempt(db, enrolled)).admitted
    counted = as_owner(postgres_config, "SELECT count(*) FROM factor_failures WHERE user_id = %s", enrolled)
    assert counted == [(1,)]
    assert as_owner(postgres_config, "SELECT count(*) FROM factor_failures") == [(3,)]


async def test_nobody_has_no_attempt(db) -> None:
    async with db.transaction() as repos:
        assert not (await repos.factors.insert_attempt(new_id(CLOCK), new_id(CLOCK), LIMITS)).admitted


async def test_a_person_who_is_deleted_takes_codes_and_failures_along(db, enrolled: UUID, postgres_config) -> None:
    await attempts(db, enrolled, 2)
    async with db.transaction() as repos:
        await repos.factors.replace_recovery_codes(enrolled, [secrets.token_bytes(32)])
    as_owner(postgres_config, "DELETE FROM users WHERE id = %s", enrolled)
    for table in ("recovery_codes", "factor_failures"):
        assert as_owner(postgres_config, f"SELECT count(*) FROM {table}") == [(0,)]
