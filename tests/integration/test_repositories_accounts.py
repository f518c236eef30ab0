"""Accounts and recovery tokens: one statement decides, the row count says what it decided."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from cypher import sqlfiles
from cypher.clock import new_id
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import FieldDoesNotOpen
from cypher.maintenance.reencryption import Reencryption
from cypher.postgres_errors import QueryFailed
from cypher.repositories.accounts import USERNAME_UNIQUE
from tests.factories import CLOCK, CREDENTIAL_ID, HOUR, as_owner, connect_as_owner, insert_family, insert_person

OTHER_CREDENTIAL = b"o" * 16


async def invite(db, username: str | None = None) -> UUID:
    user_id = new_id(CLOCK)
    async with db.transaction() as repos:
        assert await repos.accounts.insert_person(user_id, username or secrets.token_hex(8))
    return user_id


async def set_credential(db, user_id: UUID, replaces: bytes | None, record: bytes = bytes(192)) -> bool:
    async with db.transaction() as repos:
        return await repos.accounts.set_credential(
            user_id, record=record, setup_id="opaque-2", credential_id=OTHER_CREDENTIAL, replaces=replaces
        )


async def issue(db, user_id: UUID, lifetime: timedelta = HOUR) -> bytes:
    token_hash = secrets.token_bytes(32)
    async with db.transaction() as repos:
        assert await repos.recovery_tokens.insert_token(token_hash, user_id, lifetime)
    return token_hash


# -- a password ---------------------------------------------------------------------------------------------


async def test_a_record_replaces_the_one_that_was_meant_and_no_other(db):
    user = await insert_person(db, "alice")
    record = secrets.token_bytes(192)
    assert not await set_credential(db, user.id, None)
    assert not await set_credential(db, user.id, OTHER_CREDENTIAL)
    assert await set_credential(db, user.id, CREDENTIAL_ID, record)
    assert not await set_credential(db, user.id, CREDENTIAL_ID)
    assert not await set_credential(db, new_id(CLOCK), None)
    async with db.connection() as repos:
        found = await repos.users.find_login_record("alice")
    assert found is not None
    assert (found.opaque_record, found.opaque_setup_id) == (record, "opaque-2")
    assert found.opaque_credential_id == OTHER_CREDENTIAL


async def test_a_first_password_is_set_once(db):
    user_id = await invite(db)
    done = await asyncio.gather(*(set_credential(db, user_id, None) for _ in range(8)))
    assert sorted(done) == [False] * 7 + [True]


async def test_somebody_without_a_password_cannot_be_logged_in_and_stands_for_nobody(db, postgres_config):
    user_id = await invite(db, "alice")
    async with db.transaction() as repos:
        assert await repos.users.find_login_record("alice") is None
        assert await repos.users.get_login_record(user_id) is None
        user = await repos.users.get_user(user_id)
        assert user is not None
        assert user.opaque_setup_id is None
        state = await repos.accounts.get_credential(user_id)
        assert state is not None
        assert (state.credential_id, state.sessions_revoked_at) == (None, None)
        standing = await repos.users.lock_standing(user_id, None, None)
        assert standing is not None
        assert standing.current
        assert not (await repos.users.lock_standing(user_id, CREDENTIAL_ID, None)).current


@pytest.mark.parametrize("column", ["opaque_record", "opaque_record_key_id", "opaque_setup_id", "opaque_credential_id"])
async def test_half_a_password_cannot_be_stored(db, postgres_config, column: str):
    await insert_person(db)
    with connect_as_owner(postgres_config) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"UPDATE users SET {column} = NULL")


async def test_sweep_and_count_pass_over_somebody_without_a_password(db, ring, codec):
    user_id = await invite(db, "alice")
    rotate(ring, Purpose.DATA)
    await Reencryption(db=db, ring=ring, codec=codec, clock=CLOCK, rate=None).run()
    async with db.connection() as repos:
        counts = await repos.sealed_columns.count_rows()
        person = await repos.accounts.get_person(user_id)
    assert None not in counts
    assert "users.opaque_record" not in counts.get(ring.primary(Purpose.DATA).id, {})
    assert person is not None
    assert person.username == "alice"


# -- a name -------------------------------------------------------------------------------------------------


async def test_another_name_is_found_and_the_old_one_is_not(db):
    user = await insert_person(db, "alice")
    async with db.transaction() as repos:
        await repos.accounts.set_username(user.id, "zoë")
    async with db.connection() as repos:
        assert await repos.users.find_by_username("alice") is None
        found = await repos.accounts.find_person("zoë")
        assert found is not None
        assert (found.id, found.username) == (user.id, "zoë")


async def test_a_name_of_somebody_else_is_refused_by_its_constraint(db):
    user = await insert_person(db, "alice")
    await insert_person(db, "bob")
    with pytest.raises(QueryFailed) as refused:
        async with db.transaction() as repos:
            await repos.accounts.set_username(user.id, "bob")
    assert refused.value.constraint == USERNAME_UNIQUE
    async with db.connection() as repos:
        assert (await repos.accounts.get_account(user.id)).username == "alice"


async def test_nobody_is_invited_twice(db):
    user_id = await invite(db, "alice")
    async with db.transaction() as repos:
        assert not await repos.accounts.insert_person(new_id(CLOCK), "alice")
        assert not await repos.accounts.insert_person(user_id, "bob")


async def test_a_name_that_does_not_open_hides_the_person_from_themselves_only(db, postgres_config):
    user = await insert_person(db, "alice")
    as_owner(postgres_config, "UPDATE users SET username = 'x'")
    async with db.connection() as repos:
        with pytest.raises(FieldDoesNotOpen):
            await repos.accounts.get_account(user.id)
        assert (await repos.accounts.get_person(user.id)).username is None


# -- a lock, the end ----------------------------------------------------------------------------------------


async def test_a_lock_is_counted_from_now_and_taken_away(db, postgres_config):
    user = await insert_person(db)
    async with db.transaction() as repos:
        await repos.accounts.set_locked(user.id, HOUR)
        locked = (await repos.accounts.get_person(user.id)).locked_until
        assert locked is not None
        assert timedelta(minutes=59) < locked - datetime.now(UTC) <= HOUR
        await repos.accounts.set_locked(user.id, None)
        assert (await repos.accounts.get_person(user.id)).locked_until is None


async def test_everybodys_logins_are_stopped_page_by_page(db, postgres_config):
    people = sorted([(await insert_person(db)).id for _ in range(5)])
    last, seen = UUID(int=0), []
    while True:
        async with db.transaction() as repos:
            following = await repos.accounts.set_all_sessions_revoked(last, 2)
        if following is None:
            break
        last = following
        seen.append(last)
    assert seen == [people[1], people[3], people[4]]
    assert as_owner(postgres_config, "SELECT count(*) FROM users WHERE sessions_revoked_at IS NULL") == [(0,)]


async def test_a_deletion_takes_every_row_of_somebody_and_of_nobody_else(db, postgres_config):
    gone, stays = await insert_family(db), await insert_family(db)
    for family in (gone, stays):
        await issue(db, family.user_id)
        async with db.transaction() as repos:
            await repos.factors.replace_recovery_codes(family.user_id, [secrets.token_bytes(32)])
    async with db.transaction() as repos:
        assert await repos.accounts.delete_person(gone.user_id)
        assert not await repos.accounts.delete_person(gone.user_id)
    referring = as_owner(
        postgres_config,
        "SELECT table_name FROM information_schema.columns c JOIN pg_class r ON r.relname = c.table_name"
        " WHERE column_name = 'user_id' AND table_schema = 'public' AND relkind = 'r' AND NOT relispartition",
    )
    tables = {str(table) for (table,) in referring}
    assert {"user_sessions", "refresh_tokens", "recovery_codes", "recovery_tokens", "factor_failures"} <= tables
    for table in tables:
        assert as_owner(postgres_config, f"SELECT 1 FROM {table} WHERE user_id = %s", gone.user_id) == [], table
    for table in ("user_sessions", "refresh_tokens", "recovery_codes", "recovery_tokens"):
        assert len(as_owner(postgres_config, f"SELECT 1 FROM {table} WHERE user_id = %s", stays.user_id)) == 1, table


# -- recovery tokens ----------------------------------------------------------------------------------------


async def test_a_token_works_for_its_person_by_name_until_it_is_used(db, postgres_config):
    user, bob = await insert_person(db, "alice"), await insert_person(db, "bob")
    token_hash = await issue(db, user.id)
    async with db.connection() as repos:
        tokens = repos.recovery_tokens
        state = await tokens.find_credential(token_hash, "alice")
        assert state is not None
        assert (state.user_id, state.credential_id) == (user.id, CREDENTIAL_ID)
        assert await tokens.find_credential(token_hash, "bob") is None
        assert await tokens.find_credential(secrets.token_bytes(32), "alice") is None
        assert not await tokens.use_token(token_hash, bob.id)
        assert await tokens.use_token(token_hash, user.id)
        assert not await tokens.use_token(token_hash, user.id)
        assert await tokens.find_credential(token_hash, "alice") is None


async def test_of_sixteen_uses_at_once_one_counts(db):
    user = await insert_person(db)
    token_hash = await issue(db, user.id)

    async def use() -> bool:
        async with db.transaction() as repos:
            return await repos.recovery_tokens.use_token(token_hash, user.id)

    assert sum(await asyncio.gather(*(use() for _ in range(16)))) == 1


@pytest.mark.parametrize(
    "state", ["is_active = FALSE", "locked_until = now() + INTERVAL '1 minute'"], ids=["disabled", "locked"]
)
async def test_no_token_is_made_for_somebody_who_may_not_come_in(db, postgres_config, state: str):
    user = await insert_person(db)
    as_owner(postgres_config, f"UPDATE users SET {state}")
    async with db.connection() as repos:
        assert await repos.recovery_tokens.insert_token(secrets.token_bytes(32), user.id, HOUR) is None
        assert await repos.recovery_tokens.insert_token(secrets.token_bytes(32), new_id(CLOCK), HOUR) is None
    as_owner(postgres_config, "UPDATE users SET is_active = TRUE, locked_until = now() - INTERVAL '1 minute'")
    await issue(db, user.id)


async def test_tokens_end_together_and_old_ones_are_forgotten(db, postgres_config):
    user, bob = await insert_person(db), await insert_person(db)
    mine, theirs = [await issue(db, user.id) for _ in range(2)], await issue(db, bob.id)
    async with db.connection() as repos:
        assert await repos.recovery_tokens.end_tokens(user.id) == 2
        assert await repos.recovery_tokens.end_tokens(user.id) == 0
        assert not await repos.recovery_tokens.use_token(mine[0], user.id)
        assert len(await repos.recovery_tokens.list_tokens(user.id, 10)) == 2
        assert len(await repos.recovery_tokens.list_tokens(user.id, 1)) == 1
        assert await repos.recovery_tokens.delete_expired() == 0
    as_owner(
        postgres_config,
        "UPDATE recovery_tokens SET expires_at = now() - INTERVAL '25 hours' WHERE used_at IS NULL AND user_id = %s",
        user.id,
    )
    async with db.connection() as repos:
        assert await repos.recovery_tokens.delete_expired() == 2
        assert await repos.recovery_tokens.use_token(theirs, bob.id)


# -- the schema goes back -----------------------------------------------------------------------------------


async def test_the_schema_does_not_go_back_over_somebody_who_waits_for_a_password(db, postgres_config):
    [path] = sqlfiles.migrations_path().glob("*_recovery.rollback.sql")
    rollback = path.read_text()
    user_id = await invite(db)
    with connect_as_owner(postgres_config) as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="waiting for their first"):
            connection.execute(rollback)
        connection.execute("DELETE FROM users WHERE id = %s", [user_id])
        connection.execute(rollback)
