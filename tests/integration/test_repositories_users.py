"""People: one for each name, found by an index, standing judged on the newest row."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from cypher.clock import new_id
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import FieldDoesNotOpen, PostgresUnavailable
from tests.factories import CLOCK, CREDENTIAL_ID, as_owner, insert_family, insert_person


async def insert(db, user_id: UUID, username: str, record: bytes = bytes(192)):
    async with db.transaction() as repos:
        return await repos.users.insert_user(
            user_id=user_id,
            username=username,
            opaque_record=record,
            opaque_setup_id="opaque-1",
            opaque_credential_id=CREDENTIAL_ID,
        )


async def test_a_person_is_found_by_name_and_by_id(db):
    user = await insert_person(db, "zoë")
    async with db.connection() as repos:
        assert await repos.users.get_user(user.id) == user
        assert await repos.users.find_by_username("zoë") == user
        assert await repos.users.find_by_username("zoe") is None
        assert await repos.users.get_user(new_id(CLOCK)) is None
    assert user.username == "zoë"
    assert user.is_active
    assert user.last_login_at is None


async def test_the_login_record_is_what_was_inserted(db):
    record = bytes(range(192))
    user_id = new_id(CLOCK)
    await insert(db, user_id, "alice", record)
    async with db.connection() as repos:
        found = await repos.users.find_login_record("alice")
        assert await repos.users.find_login_record("bob") is None
        assert await repos.users.find_login_record("bob") is None
    assert found is not None
    assert (found.user_id, found.opaque_record, found.opaque_credential_id) == (user_id, record, CREDENTIAL_ID)
    assert found.sessions_revoked_at is None


async def test_a_second_insert_of_a_name_or_an_id_changes_nothing(db):
    first = await insert_person(db, "alice")
    assert await insert(db, new_id(CLOCK), "alice") is None
    assert await insert(db, first.id, "somebody-else") is None
    async with db.connection() as repos:
        assert await repos.users.find_by_username("alice") == first
        assert await repos.users.find_by_username("somebody-else") is None


async def test_twenty_who_race_for_a_name_leave_one(db):
    made = await asyncio.gather(*(insert(db, new_id(CLOCK), "alice") for _ in range(20)))
    winners = [user for user in made if user is not None]
    assert len(winners) == 1
    async with db.connection() as repos:
        assert await repos.users.find_by_username("alice") == winners[0]


async def test_the_row_holds_nothing_in_the_clear(db, postgres_config):
    user_id = new_id(CLOCK)
    await insert(db, user_id, "canary-name", b"canary-record" * 10)
    (row,) = as_owner(postgres_config, "SELECT u::text FROM users u WHERE id = %s", user_id)
    assert "canary" not in str(row)
    assert b"canary".hex() not in str(row)


async def test_standing_follows_what_changed_since_the_login_began(db, postgres_config):
    user = await insert_person(db)

    async def standing(credential_id: bytes = CREDENTIAL_ID):
        async with db.transaction() as repos:
            return await repos.users.lock_standing(user.id, credential_id, began.sessions_revoked_at)

    async with db.connection() as repos:
        began = await repos.users.find_login_record(user.username)
    assert await standing() == await standing()
    first = await standing()
    assert (first.is_active, first.locked, first.current) == (True, False, True)
    assert not (await standing(b"d" * 16)).current

    as_owner(postgres_config, "UPDATE users SET locked_until = now() + interval '1 minute'")
    assert (await standing()).locked
    as_owner(postgres_config, "UPDATE users SET locked_until = now() - interval '1 second', is_active = FALSE")
    assert not (await standing()).locked
    assert not (await standing()).is_active

    async with db.connection() as repos:
        assert await repos.users.set_sessions_revoked(user.id)
    assert not (await standing()).current
    async with db.connection() as repos:
        began = await repos.users.find_login_record(user.username)
    assert (await standing()).current
    async with db.connection() as repos:
        assert await repos.users.set_sessions_revoked(user.id)
    assert not (await standing()).current


async def test_nobody_has_no_standing(db):
    async with db.transaction() as repos:
        assert await repos.users.lock_standing(new_id(CLOCK), CREDENTIAL_ID, None) is None
        assert not await repos.users.set_sessions_revoked(new_id(CLOCK))


async def test_a_locked_standing_makes_a_revocation_wait(db):
    """Whoever revokes all sessions comes before the login is judged, or after its session is there to be seen."""
    user = await insert_person(db)
    async with db.transaction() as login:
        assert await login.users.lock_standing(user.id, CREDENTIAL_ID, None) is not None
        async with db.connection() as other:
            with pytest.raises(PostgresUnavailable):
                await other.users.set_sessions_revoked(user.id)


async def test_disabling_counts_only_what_it_changes(db):
    user = await insert_person(db)
    async with db.connection() as repos:
        assert [await repos.users.set_active(user.id, value) for value in (False, False, True)] == [1, 0, 1]
        assert await repos.users.get_user(user.id) == user


async def test_rows_of_an_older_key_go_on_opening(db, ring):
    before = await insert_person(db)
    rotate(ring, Purpose.DATA)
    after = await insert_person(db)
    async with db.connection() as repos:
        assert await repos.users.get_user(before.id) == before
        assert await repos.users.get_user(after.id) == after
        assert await repos.users.find_login_record("nobody") is None


@pytest.mark.parametrize(
    "swap",
    [
        # with another row, whole
        "SET username = o.username, username_key_id = o.username_key_id",
        # with another column
        "SET username = u.opaque_record, username_key_id = u.opaque_record_key_id",
        # under the id of another key
        "SET username_key_id = 'cache-20260101-00000000'",
        "SET username_key_id = 'data-20260101-00000000'",
        # not what was sealed at all
        "SET username = 'alice'",
        "SET username = ''",
    ],
)
async def test_a_ciphertext_that_was_moved_does_not_open_and_harms_nobody_else(db, postgres_config, swap):
    alice, bob = await insert_person(db, "alice"), await insert_person(db, "bob")
    as_owner(postgres_config, f"UPDATE users u {swap} FROM users o WHERE u.id = %s AND o.id = %s", alice.id, bob.id)
    async with db.connection() as repos:
        with pytest.raises(FieldDoesNotOpen):
            await repos.users.get_user(alice.id)
        assert await repos.users.get_user(bob.id) == bob


async def test_a_real_keys_id_of_another_purpose_does_not_open(db, postgres_config, ring):
    alice = await insert_person(db)
    for purpose in (Purpose.CACHE, Purpose.OPAQUE, Purpose.AUDIT_DATA):
        as_owner(postgres_config, "UPDATE users SET username_key_id = %s", ring.primary(purpose).id)
        async with db.connection() as repos:
            with pytest.raises(FieldDoesNotOpen):
                await repos.users.get_user(alice.id)


async def test_a_moved_record_is_no_record(db, postgres_config):
    alice, bob = await insert_person(db, "alice"), await insert_person(db, "bob")
    as_owner(
        postgres_config,
        "UPDATE users u SET opaque_record = o.opaque_record FROM users o WHERE u.id = %s AND o.id = %s",
        alice.id,
        bob.id,
    )
    async with db.connection() as repos:
        with pytest.raises(FieldDoesNotOpen):
            await repos.users.find_login_record("alice")
        assert (await repos.users.find_login_record("bob")) is not None


async def test_last_login_is_noted(db):
    user = await insert_person(db)
    await insert_family(db, user.id)
    async with db.connection() as repos:
        found = await repos.users.get_user(user.id)
    assert found is not None
    assert found.last_login_at is not None
    assert replace(found, last_login_at=None) == user
