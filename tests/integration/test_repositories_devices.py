"""Devices: one row for a person's fingerprint, a token that is the last one given, and trust that hangs on it."""

import asyncio
import hashlib
import secrets
from uuid import UUID

import asyncpg
import pytest

from cypher.clock import new_id
from cypher.errors import FieldDoesNotOpen
from cypher.postgres_errors import QueryFailed
from cypher.repositories.devices import DeviceInfo
from tests.factories import CLOCK, DAY, HOUR, as_owner, insert_device, insert_family, insert_person


@pytest.fixture
async def person(db) -> UUID:
    return (await insert_person(db, "alice")).id


@pytest.fixture
async def laptop(db, person: UUID) -> UUID:
    return await insert_device(db, person, "canary-print", "canary-name")


def new_hash() -> bytes:
    return hashlib.sha256(secrets.token_bytes(32)).digest()


async def give(db, device_id: UUID, *, trust: bool = False, after: bytes | None = None) -> bytes:
    token_hash = new_hash()
    async with db.transaction() as repos:
        assert await repos.devices.give_token(device_id, token_hash, DAY, trust=trust, shown_hash=after)
    return token_hash


async def shown(db, user_id: UUID, token_hash: bytes, fingerprint: str | None = None) -> tuple[UUID, bool] | None:
    async with db.connection() as repos:
        found = await repos.devices.find_shown(user_id, token_hash, fingerprint)
    return (found.id, found.trusted) if found else None


async def named(db, token_hash: bytes, username: str) -> UUID | None:
    async with db.connection() as repos:
        return await repos.devices.find_by_token_and_name(token_hash, username)


async def revoke(db, device_id: UUID, user_id: UUID) -> bool:
    async with db.transaction() as repos:
        await repos.users.hold_user(user_id)
        return await repos.devices.revoke_device(device_id, user_id)


# -- what is stored -----------------------------------------------------------------------------------------


async def test_a_device_is_read_as_it_was_inserted_and_nothing_of_it_is_in_the_row(
    db, person: UUID, laptop: UUID, postgres_config
) -> None:
    async with db.connection() as repos:
        [device] = await repos.devices.list_devices(person)
        assert device == await repos.devices.get_device(laptop, person)
    assert (device.id, device.user_id, device.name) == (laptop, person, "canary-name")
    assert device.info == DeviceInfo(platform="Plan 9", model="canary-model")
    assert (device.trusted_until, device.revoked_at) == (None, None)
    assert device.first_seen_at == device.last_seen_at
    [(row,)] = as_owner(postgres_config, "SELECT d::text FROM devices d")
    assert "canary" not in str(row)


async def test_a_device_without_name_and_info_has_none(db, person: UUID) -> None:
    device_id = new_id(CLOCK)
    async with db.transaction() as repos:
        made = await repos.devices.insert_device(
            device_id=device_id, user_id=person, fingerprint="x", name=None, info=None
        )
        device = await repos.devices.get_device(device_id, person)
    assert made == device_id
    assert (device.name, device.info) == (None, None)


async def test_one_fingerprint_of_two_people_has_two_indexes(db, person: UUID, postgres_config) -> None:
    other = (await insert_person(db)).id
    for user_id in (person, other):
        device_id = await insert_device(db, user_id, "the same print")
        await insert_family(db, user_id, device_id=device_id, fingerprint="the same print")
    indexes = as_owner(
        postgres_config,
        "SELECT fingerprint_index FROM devices UNION SELECT device_fingerprint_index FROM user_sessions",
    )
    # Nor is one column linked by the other's.
    assert len(indexes) == 4
    assert all(len(bytes(index)) == 16 for (index,) in indexes)


@pytest.mark.parametrize("column", ["name", "info"])
async def test_a_ciphertext_of_another_device_does_not_open(db, person: UUID, laptop: UUID, postgres_config, column):
    other = await insert_device(db, person, "other")
    as_owner(
        postgres_config,
        f"UPDATE devices d SET {column} = o.{column}, {column}_key_id = o.{column}_key_id FROM devices o"
        " WHERE o.id = %s AND d.id = %s",
        other,
        laptop,
    )
    async with db.connection() as repos:
        with pytest.raises(FieldDoesNotOpen):
            await repos.devices.list_devices(person)


async def test_a_person_who_is_deleted_takes_devices_and_sessions_along(
    db, person: UUID, laptop: UUID, postgres_config
) -> None:
    await insert_family(db, person, device_id=laptop, fingerprint="canary-print")
    as_owner(postgres_config, "DELETE FROM users")
    for table in ("devices", "user_sessions"):
        assert as_owner(postgres_config, f"SELECT count(*) FROM {table}") == [(0,)]


# -- found again --------------------------------------------------------------------------------------------


async def test_a_fingerprint_is_found_again_by_its_person_only(db, person: UUID, laptop: UUID, postgres_config):
    as_owner(postgres_config, "UPDATE devices SET last_seen_at = last_seen_at - INTERVAL '1 day'")
    other = (await insert_person(db)).id
    async with db.connection() as repos:
        assert await repos.devices.see_fingerprint(other, "canary-print") is None
        assert await repos.devices.see_fingerprint(person, "canary-Print") is None
        assert await repos.devices.see_fingerprint(person, "canary-print") == laptop
        device = await repos.devices.get_device(laptop, person)
    assert device.last_seen_at - device.first_seen_at < HOUR


async def test_of_many_who_find_a_device_new_at_once_one_inserts_it(db, person: UUID, postgres_config) -> None:
    """Without the lock that callers hold: the constraint alone keeps a device one row."""
    for number in range(5):
        found = await asyncio.gather(*(insert_device(db, person, f"print-{number}") for _ in range(16)))
        assert len(set(found)) == 1
    assert as_owner(postgres_config, "SELECT count(*) FROM devices") == [(5,)]
    async with db.connection() as repos:
        assert {device.name for device in await repos.devices.list_devices(person)} == {"laptop"}


async def test_a_device_that_comes_back_keeps_its_name_and_brings_its_info(db, person: UUID, laptop: UUID) -> None:
    async with db.transaction() as repos:
        await repos.devices.describe_device(laptop, name="another", info=DeviceInfo(app="Browser/2.0"))
        device = await repos.devices.get_device(laptop, person)
        assert (device.name, device.info) == ("canary-name", DeviceInfo(app="Browser/2.0"))
        await repos.devices.describe_device(laptop, name=None, info=None)
        assert await repos.devices.get_device(laptop, person) == device
        unnamed = await repos.devices.insert_device(
            device_id=new_id(CLOCK), user_id=person, fingerprint="unnamed", name=None, info=None
        )
        await repos.devices.describe_device(unnamed, name="named", info=None)
        assert (await repos.devices.get_device(unnamed, person)).name == "named"


async def test_the_list_shows_the_hundred_that_were_used_last_by_login_or_session(
    db, person: UUID, laptop: UUID, postgres_config
) -> None:
    for number in range(101):
        await insert_device(db, person, f"print-{number}")
    as_owner(postgres_config, "UPDATE devices SET last_seen_at = now() - INTERVAL '1 day' WHERE id = %s", laptop)
    async with db.connection() as repos:
        listed = await repos.devices.list_devices(person)
    assert len(listed) == 100
    assert laptop not in {device.id for device in listed}
    assert [device.last_seen_at for device in listed] == sorted((d.last_seen_at for d in listed), reverse=True)
    await insert_family(db, person, device_id=laptop, fingerprint="canary-print")
    async with db.connection() as repos:
        assert (await repos.devices.list_devices(person))[0].id == laptop


async def test_a_device_is_renamed_by_its_owner_only(db, person: UUID, laptop: UUID) -> None:
    other = (await insert_person(db)).id
    async with db.transaction() as repos:
        assert not await repos.devices.set_name(laptop, other, "stolen")
        assert await repos.devices.get_device(laptop, other) is None
        assert await repos.devices.set_name(laptop, person, "kitchen")
        assert (await repos.devices.get_device(laptop, person)).name == "kitchen"


# -- tokens and trust ---------------------------------------------------------------------------------------


async def test_a_token_is_good_for_its_person_and_name_only(db, person: UUID, laptop: UUID) -> None:
    other = await insert_person(db, "bob")
    first = await give(db, laptop)
    assert await shown(db, person, first) == (laptop, False)
    assert await named(db, first, "alice") == laptop
    assert await shown(db, other.id, first) is None
    assert await named(db, first, "bob") is None
    assert await named(db, first, "nobody") is None
    assert await named(db, new_hash(), "alice") is None


async def test_a_token_stays_good_until_the_next_is_shown(db, person: UUID, laptop: UUID) -> None:
    async def good(*hashes: bytes) -> list[bool]:
        found = [await shown(db, person, each) for each in hashes]
        assert [await named(db, each, "alice") == laptop for each in hashes] == [each is not None for each in found]
        return [each is not None for each in found]

    first = await give(db, laptop)
    lost = await give(db, laptop, after=first)
    assert await good(first, lost) == [True, True]
    second = await give(db, laptop, after=first)
    assert await good(first, lost, second) == [True, False, True]
    third = await give(db, laptop, after=second)
    assert await good(first, second, third) == [False, True, True]
    async with db.transaction() as repos:
        await repos.devices.see_device(laptop, second)
        assert await good(second, third) == [True, True]
        await repos.devices.see_device(laptop, third)
    assert await good(second, third) == [False, True]
    # Whoever comes with the fingerprint alone leaves none of them.
    fourth = await give(db, laptop, after=third)
    fifth = await give(db, laptop)
    assert await good(third, fourth, fifth) == [False, False, True]


async def test_a_token_speaks_for_its_own_fingerprint(db, person: UUID, laptop: UUID) -> None:
    token_hash = await give(db, laptop, trust=True)
    await insert_device(db, person, "another-print")
    assert await shown(db, person, token_hash, "canary-print") == (laptop, True)
    assert await shown(db, person, token_hash, "another-print") is None
    assert await shown(db, person, token_hash, "never seen") is None


async def test_a_token_and_its_trust_end_after_their_time(db, person: UUID, laptop: UUID, postgres_config) -> None:
    token_hash = await give(db, laptop, trust=True)
    as_owner(postgres_config, "UPDATE devices SET trusted_until = now()")
    assert await shown(db, person, token_hash) == (laptop, False)
    async with db.connection() as repos:
        assert (await repos.devices.get_device(laptop, person)).trusted_until is None
    as_owner(postgres_config, "UPDATE devices SET token_expires_at = now()")
    assert await shown(db, person, token_hash) is None
    assert await named(db, token_hash, "alice") is None


async def test_trust_passes_on_unchanged_only_where_a_token_was_shown(db, person: UUID, laptop: UUID) -> None:
    async def trusted_until():
        async with db.connection() as repos:
            return (await repos.devices.get_device(laptop, person)).trusted_until

    first = await give(db, laptop, trust=True)
    given = await trusted_until()
    assert given is not None
    assert await shown(db, person, await give(db, laptop, after=first)) == (laptop, True)
    assert await shown(db, person, first) == (laptop, True)
    assert await trusted_until() == given
    # Somebody who has the fingerprint but not the token.
    other = await give(db, laptop)
    assert await shown(db, person, other) == (laptop, False)
    assert await trusted_until() is None
    await give(db, laptop, after=other)
    assert await trusted_until() is None


async def test_the_end_of_trust_is_that_of_one_device_or_of_all_of_a_person(db, person: UUID, laptop: UUID) -> None:
    phone = await insert_device(db, person, "phone")
    other = (await insert_person(db)).id
    theirs = await insert_device(db, other)
    tokens = {each: await give(db, each, trust=True) for each in (laptop, phone, theirs)}
    async with db.transaction() as repos:
        assert await repos.devices.end_trust(other, laptop) == 0
        assert await repos.devices.end_trust(person, laptop) == 1
        assert await repos.devices.end_trust(person, laptop) == 0
    # The token goes on: it is known, and asked for the factor.
    assert await shown(db, person, tokens[laptop]) == (laptop, False)
    assert await shown(db, person, tokens[phone]) == (phone, True)
    async with db.transaction() as repos:
        assert await repos.devices.end_trust(person) == 1
    assert await shown(db, person, tokens[phone]) == (phone, False)
    assert await shown(db, other, tokens[theirs]) == (theirs, True)


async def test_one_token_is_given_to_one_device(db, person: UUID, laptop: UUID) -> None:
    token_hash, phone = await give(db, laptop), await insert_device(db, person, "phone")
    with pytest.raises(QueryFailed, match="devices_token_hash_unique"):
        async with db.transaction() as repos:
            await repos.devices.give_token(phone, token_hash, DAY, trust=False, shown_hash=None)


# -- revoked ------------------------------------------------------------------------------------------------


async def test_a_revoked_device_is_neither_known_nor_listed_nor_changed(db, person: UUID, laptop: UUID) -> None:
    token_hash = await give(db, laptop, trust=True)
    other = (await insert_person(db)).id
    assert not await revoke(db, laptop, other)
    assert sum(await asyncio.gather(*(revoke(db, laptop, person) for _ in range(8)))) == 1
    assert await shown(db, person, token_hash) is None
    assert await named(db, token_hash, "alice") is None
    async with db.transaction() as repos:
        assert await repos.devices.list_devices(person) == []
        assert not await repos.devices.set_name(laptop, person, "x")
        assert not await repos.devices.give_token(laptop, new_hash(), DAY, trust=True, shown_hash=token_hash)
        assert (await repos.devices.get_device(laptop, person)).revoked_at is not None


async def test_a_revoked_device_that_comes_back_is_a_new_one(db, person: UUID, laptop: UUID) -> None:
    await give(db, laptop, trust=True)
    for _ in range(2):
        assert await revoke(db, laptop, person)
        async with db.connection() as repos:
            assert await repos.devices.see_fingerprint(person, "canary-print") is None
        back = await insert_device(db, person, "canary-print", name=None)
        assert back != laptop
        laptop = back
    async with db.connection() as repos:
        [device] = await repos.devices.list_devices(person)
    assert (device.id, device.name, device.trusted_until) == (laptop, None, None)


async def test_the_sessions_of_one_device_end_and_no_others(db, person: UUID, laptop: UUID) -> None:
    phone, other = await insert_device(db, person, "phone"), (await insert_person(db)).id
    theirs = await insert_device(db, other)
    mine = [await insert_family(db, person, device_id=laptop, fingerprint="canary-print") for _ in range(2)]
    rest = [
        await insert_family(db, person, device_id=phone, fingerprint="phone"),
        await insert_family(db, person),
        await insert_family(db, other, device_id=theirs),
    ]
    async with db.transaction() as repos:
        assert await repos.sessions.revoke_sessions(person, keep=None, reason="x", device_id=theirs) == []
        ended = await repos.sessions.revoke_sessions(person, keep=None, reason="x", device_id=laptop)
        assert set(ended) == {family.session_id for family in mine}
        for family in rest:
            assert (await repos.sessions.get_session(family.session_id)).revoked_at is None


# -- what the schema holds to -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE devices SET trusted_until = now()", "devices_trust_has_token"),
        ("UPDATE devices SET token_hash = sha256('x')", "devices_token_expires"),
        ("UPDATE devices SET token_hash = 'x', token_expires_at = now()", "devices_token_hash_length"),
        ("UPDATE devices SET previous_hash = sha256('x')", "devices_previous_has_next"),
        ("UPDATE devices SET previous_hash = 'x'", "devices_previous_hash_length"),
        ("UPDATE devices SET revoked_at = now()", "devices_revoked_has_no_token"),
        ("UPDATE devices SET name_key_id = NULL", "devices_name_has_key"),
        ("UPDATE devices SET info = NULL", "devices_info_has_key"),
        ("UPDATE devices SET fingerprint_index = 'x'", "devices_fingerprint_index_length"),
        ("UPDATE user_sessions SET device_fingerprint_index = NULL", "user_sessions_device_fingerprint_has_index"),
        ("UPDATE user_sessions SET device_fingerprint_index = 'x'", "user_sessions_device_fingerprint_index_length"),
        ("UPDATE user_sessions SET device_id = gen_random_uuid()", "user_sessions_device_fk"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused(
    db, person: UUID, laptop: UUID, postgres_config, change: str, constraint: str
) -> None:
    if constraint in ("devices_revoked_has_no_token", "devices_previous_hash_length"):
        await give(db, laptop)
    await insert_family(db, person, device_id=laptop, fingerprint="canary-print")
    connection = await asyncpg.connect(
        host=postgres_config.hosts[0],
        port=postgres_config.port,
        user=postgres_config.user,
        password=postgres_config.password and postgres_config.password.reveal(),
        database=postgres_config.database,
    )
    try:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await connection.execute(change)
    finally:
        await connection.close()
    assert refused.value.constraint_name == constraint
