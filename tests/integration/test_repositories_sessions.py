"""Sessions: alive or over by the database's clock, ended once, never alive again."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cypher.clock import new_id
from cypher.errors import FieldDoesNotOpen
from cypher.repositories.sessions import Session
from tests.factories import CLOCK, DAY, HOUR, as_owner, connect_as_owner, insert_family, insert_person, login_of

ENROL = "UPDATE users SET totp_secret = 'x', totp_secret_key_id = 'x', totp_enabled = TRUE"


async def insert(db, session_id, user_id, **changes) -> Session | None:
    login = login_of(
        user_id, session_id, user_agent="canary-agent", amr=("opaque", "totp"), ip_address="2001:db8::77", aal=2
    )
    async with db.transaction() as repos:
        assert await repos.users.hold_user(user_id)
        inserted = await repos.logins.end_login(replace(login, **changes))
        return await inserted.open() if inserted.open else None


async def touch(db, session_id, *, idle=HOUR, unwritten=timedelta(0)):
    async with db.connection() as repos:
        touched = await repos.sessions.touch_sessions([session_id], idle=idle, unwritten=unwritten)
    return touched.get(session_id)


async def test_a_session_is_read_as_it_was_inserted(db, postgres_config):
    user, session_id = await insert_person(db), new_id(CLOCK)
    inserted = await insert(db, session_id, user.id)
    async with db.connection() as repos:
        session = await repos.sessions.get_session(session_id)
        assert session == inserted
        assert await repos.sessions.get_session(new_id(CLOCK)) is None
    assert (session.user_id, session.username) == (user.id, user.username)
    assert (session.user_agent, session.ip_address) == ("canary-agent", "2001:db8::77")
    assert (session.amr, session.aal) == (("opaque", "totp"), 2)
    assert session.idle_expires_at - session.created_at == HOUR
    assert session.expires_at - session.created_at == DAY
    (row,) = as_owner(postgres_config, "SELECT s::text FROM user_sessions s")
    assert "canary" not in str(row)
    assert "2001:db8" not in str(row)


async def test_one_id_makes_one_session(db):
    user, session_id = await insert_person(db), new_id(CLOCK)
    inserted = await asyncio.gather(*(insert(db, session_id, user.id) for _ in range(8)))
    assert sum(session is not None for session in inserted) == 1


@pytest.mark.parametrize(("seconds", "factor", "is_made"), [(2, False, True), (5, False, False), (0, True, False)])
async def test_without_a_transaction_what_was_sealed_long_ago_or_goes_around_a_factor_is_not_written(
    db, postgres_config, seconds, factor, is_made
):
    """A process that was stopped between sealing and writing may find its key destroyed."""
    user, login = await insert_person(db), new_id(CLOCK)
    if factor:
        as_owner(postgres_config, ENROL)
    ((now,),) = as_owner(postgres_config, "SELECT clock_timestamp()")
    async with db.connection() as repos:
        inserted = await repos.logins.end_logins([login_of(user.id, login)], found_at=now - timedelta(seconds=seconds))
    assert (inserted[login].open is not None) is is_made
    assert as_owner(postgres_config, "SELECT count(*) FROM refresh_tokens") == [(int(is_made),)]


async def test_idle_is_never_longer_than_absolute(db):
    user, session_id = await insert_person(db), new_id(CLOCK)
    assert await insert(db, session_id, user.id, idle=DAY, absolute=HOUR)
    session = await (await touch(db, session_id, idle=30 * DAY)).open()
    assert session.idle_expires_at == session.expires_at


async def test_a_touch_prolongs_and_brings_the_tokens_that_were_ended(db, postgres_config):
    family = await insert_family(db)
    as_owner(postgres_config, "UPDATE user_sessions SET idle_expires_at = now() + interval '1 second'")
    soon, past = datetime.now(UTC) + HOUR, datetime.now(UTC) - HOUR
    async with db.connection() as repos:
        for jti, session_id, expires_at in (
            ("b", family.session_id, soon),
            ("a", family.session_id, soon),
            ("expired", family.session_id, past),
            ("another", new_id(CLOCK), soon),
        ):
            assert await repos.blacklist.insert_ended(
                jti=jti, session_id=session_id, expires_at=expires_at, reason="revoked"
            )
    touched = await touch(db, family.session_id)
    assert touched.ended_jtis == ("a", "b")
    session = await touched.open()
    assert session.idle_expires_at - session.last_seen_at == HOUR


async def test_many_are_touched_at_once_and_those_that_are_over_left_out(db, postgres_config):
    families = [await insert_family(db) for _ in range(4)]
    ids = [family.session_id for family in families]
    async with db.transaction() as repos:
        await repos.sessions.revoke_session(ids[3], families[3].user_id, "logout")
    async with db.connection() as repos:
        touched = await repos.sessions.touch_sessions([*ids, new_id(CLOCK)], idle=HOUR, unwritten=timedelta(0))
    opened = {each: await found.open() for each, found in touched.items()}
    assert {each: session.user_id for each, session in opened.items()} == {
        family.session_id: family.user_id for family in families[:3]
    }


async def test_a_use_is_written_down_once_in_a_while(db, postgres_config):
    family = await insert_family(db)
    seen = "SELECT last_seen_at, idle_expires_at FROM user_sessions"
    before = as_owner(postgres_config, seen)
    session = await (await touch(db, family.session_id, unwritten=HOUR)).open()
    assert as_owner(postgres_config, seen) == before == [(session.last_seen_at, session.idle_expires_at)]
    as_owner(postgres_config, "UPDATE user_sessions SET last_seen_at = now() - interval '61 minutes'")
    session = await (await touch(db, family.session_id, unwritten=HOUR)).open()
    assert as_owner(postgres_config, seen) == [(session.last_seen_at, session.idle_expires_at)]
    assert session.last_seen_at > before[0][0]


async def test_a_session_that_somebody_holds_keeps_nobody_waiting(db, postgres_config):
    held, free = await insert_family(db), await insert_family(db)
    as_owner(postgres_config, "UPDATE user_sessions SET last_seen_at = now() - interval '1 hour'")
    with connect_as_owner(postgres_config) as holder, holder.transaction():
        holder.execute("SELECT FROM user_sessions WHERE session_id = %s FOR UPDATE", [held.session_id])
        async with db.connection() as repos:
            touched = await repos.sessions.touch_sessions(
                [held.session_id, free.session_id], idle=HOUR, unwritten=timedelta(0)
            )
    assert set(touched) == {held.session_id, free.session_id}
    written = "SELECT session_id FROM user_sessions WHERE last_seen_at > now() - interval '1 minute'"
    assert as_owner(postgres_config, written) == [(free.session_id,)]


@pytest.mark.parametrize(
    "over",
    [
        "UPDATE user_sessions SET idle_expires_at = now() - interval '1 second'",
        "UPDATE user_sessions SET idle_expires_at = now() - interval '2 s', expires_at = now() - interval '1 s'",
        "UPDATE user_sessions SET revoked_at = now(), revoked_reason = 'logout'",
        "UPDATE users SET is_active = FALSE",
    ],
)
async def test_what_is_over_is_not_touched_and_not_listed(db, postgres_config, over):
    family = await insert_family(db)
    assert await touch(db, family.session_id) is not None
    as_owner(postgres_config, over)
    before = as_owner(postgres_config, "SELECT last_seen_at, idle_expires_at FROM user_sessions")
    assert await touch(db, family.session_id) is None
    assert as_owner(postgres_config, "SELECT last_seen_at, idle_expires_at FROM user_sessions") == before
    async with db.connection() as repos:
        assert await repos.sessions.list_live_sessions(family.user_id) == []
        assert await repos.sessions.get_session(family.session_id) is not None


async def test_a_session_is_ended_once_and_by_its_owner_only(db):
    family, stranger = await insert_family(db), await insert_person(db)

    async def end(user_id) -> bool:
        async with db.connection() as repos:
            return await repos.sessions.revoke_session(family.session_id, user_id, "logout")

    assert not await end(stranger.id)
    assert sum(await asyncio.gather(*(end(family.user_id) for _ in range(8)))) == 1
    async with db.connection() as repos:
        session = await repos.sessions.get_session(family.session_id)
    assert session.revoked_reason == "logout"


async def test_ending_all_spares_one_and_those_of_others(db):
    mine = [await insert_family(db)]
    mine += [await insert_family(db, mine[0].user_id) for _ in range(3)]
    other = await insert_family(db)
    keep = mine[1].session_id
    async with db.transaction() as repos:
        assert [session.session_id for session in await repos.sessions.list_live_sessions(mine[0].user_id)] == [
            family.session_id for family in reversed(mine)
        ]
        ended = await repos.sessions.revoke_sessions(mine[0].user_id, keep=keep, reason="others")
        again = await repos.sessions.revoke_sessions(mine[0].user_id, keep=keep, reason="others")
        recently = await repos.sessions.list_recently_revoked(mine[0].user_id)
    assert set(ended) == {family.session_id for family in mine} - {keep}
    assert again == []
    assert set(recently) == set(ended)
    assert await touch(db, keep) is not None
    assert await touch(db, other.session_id) is not None
    async with db.transaction() as repos:
        assert await repos.sessions.revoke_sessions(mine[0].user_id, keep=None, reason="all") == [keep]


async def test_those_that_ended_long_ago_are_not_recent(db, postgres_config):
    family = await insert_family(db)
    async with db.transaction() as repos:
        await repos.sessions.revoke_sessions(family.user_id, keep=None, reason="all")
    as_owner(postgres_config, "UPDATE user_sessions SET revoked_at = now() - interval '11 minutes'")
    async with db.connection() as repos:
        assert await repos.sessions.list_recently_revoked(family.user_id) == []


async def test_many_who_end_the_same_sessions_end_each_once(db):
    first = await insert_family(db)
    families = [first, *[await insert_family(db, first.user_id) for _ in range(9)]]

    async def end_all() -> int:
        async with db.transaction() as repos:
            return len(await repos.sessions.revoke_sessions(first.user_id, keep=None, reason="all"))

    assert sum(await asyncio.gather(*(end_all() for _ in range(12)))) == len(families)


async def test_sessions_are_locked_in_the_order_of_their_ids(db, postgres_config):
    """Two that end the same sessions in orders of their own would wait for each other."""
    first = await insert_family(db)
    families = [first, *[await insert_family(db, first.user_id) for _ in range(9)]]
    lowest, *others = sorted(family.session_id for family in families)
    lock = "SELECT 1 FROM user_sessions WHERE session_id = %s FOR UPDATE NOWAIT"

    async def end_all() -> None:
        async with db.transaction() as repos:
            await repos.sessions.revoke_sessions(first.user_id, keep=None, reason="all")

    with connect_as_owner(postgres_config) as holder, holder.transaction():
        holder.execute(lock, [lowest])
        ending = asyncio.create_task(end_all())
        await wait_until_somebody_waits(postgres_config)
        for session_id in others:
            holder.execute(lock, [session_id])  # raises LockNotAvailable if it is held already
    await ending


async def wait_until_somebody_waits(config) -> None:
    waiting = """SELECT count(*)
                   FROM pg_locks l
                   JOIN pg_stat_activity a USING (pid)
                  WHERE NOT l.granted AND a.datname = current_database()"""
    for _ in range(200):
        if as_owner(config, waiting) != [(0,)]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_a_disabled_persons_session_lives_again_only_when_nobody_ended_it(db):
    family = await insert_family(db)
    async with db.connection() as repos:
        await repos.users.set_active(family.user_id, False)
        assert await repos.sessions.revoke_session(family.session_id, family.user_id, "disabled")
        await repos.users.set_active(family.user_id, True)
    assert await touch(db, family.session_id) is None


@pytest.mark.parametrize(
    "swap",
    [
        "SET session_data = o.session_data",
        "SET ip_address = o.ip_address",
        "SET ip_address = s.session_data, ip_address_key_id = s.session_data_key_id",
        "SET ip_address_key_id = 'data-20260101-00000000'",
    ],
)
async def test_a_ciphertext_that_was_moved_does_not_open(db, postgres_config, swap):
    one, other = await insert_family(db), await insert_family(db)
    as_owner(
        postgres_config,
        f"UPDATE user_sessions s {swap} FROM user_sessions o WHERE s.session_id = %s AND o.session_id = %s",
        one.session_id,
        other.session_id,
    )
    async with db.connection() as repos:
        touched = await repos.sessions.touch_sessions(
            [one.session_id, other.session_id], idle=HOUR, unwritten=timedelta(0)
        )
    with pytest.raises(FieldDoesNotOpen):
        await touched[one.session_id].open()
    assert (await touched[other.session_id].open()).user_id == other.user_id


async def test_a_session_given_to_another_person_does_not_tell_that_persons_name(db, postgres_config):
    one, other = await insert_family(db), await insert_person(db)
    as_owner(postgres_config, "UPDATE user_sessions SET user_id = %s WHERE session_id = %s", other.id, one.session_id)
    session = await (await touch(db, one.session_id)).open()
    assert (session.user_id, session.username) == (other.id, other.username)


async def test_limits_are_the_databases_time(db):
    session_id = (await insert_family(db)).session_id
    session = await (await touch(db, session_id)).open()
    assert session.created_at.tzinfo is not None
    assert abs(session.last_seen_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_proof_is_renewed_once_for_what_it_was_and_only_while_the_session_lives(db, postgres_config):
    family = await insert_family(db)
    async with db.connection() as repos:
        before = await repos.sessions.get_session(family.session_id)
        renewed = await repos.sessions.set_authenticated(before, amr=("opaque", "totp"), aal=2)
        assert renewed == await repos.sessions.get_session(family.session_id)
        assert renewed.authenticated_at > before.authenticated_at
        assert (renewed.amr, renewed.aal, renewed.user_agent) == (("opaque", "totp"), 2, before.user_agent)
        assert await repos.sessions.set_authenticated(before, amr=("opaque",), aal=1) is None
        assert await repos.sessions.revoke_session(family.session_id, family.user_id, "test")
        assert await repos.sessions.set_authenticated(renewed, amr=("opaque",), aal=1) is None
        assert (await repos.sessions.get_session(family.session_id)).aal == 2


async def test_a_session_is_fresh_by_the_databases_clock_and_by_what_its_owner_can_prove(db, postgres_config):
    family = await insert_family(db)
    minute = timedelta(minutes=1)

    async def is_fresh() -> bool | None:
        async with db.connection() as repos:
            return await repos.sessions.is_fresh(family.session_id, 10 * minute)

    assert await is_fresh() is True
    as_owner(postgres_config, ENROL)
    assert await is_fresh() is False
    as_owner(postgres_config, "UPDATE user_sessions SET aal = 2")
    assert await is_fresh() is True
    as_owner(postgres_config, "UPDATE user_sessions SET authenticated_at = authenticated_at - %s", 10 * minute)
    assert await is_fresh() is False
    as_owner(postgres_config, "UPDATE users SET is_active = FALSE")
    assert await is_fresh() is None
