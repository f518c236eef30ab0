"""Refresh tokens: of any number that present one, exactly one rotates, and all that lost an answer get the same one."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from cypher.clock import new_id
from cypher.crypto.blind_index import BlindIndex
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Database
from cypher.repositories import repositories_over
from cypher.repositories.refresh_tokens import Rotation, RotationWord
from tests.factories import CLOCK, HOUR, METADATA, as_owner, hash_of, insert_family, login_of, new_token

GRACE = timedelta(seconds=10)
R = RotationWord


async def rotate(db, token: str, new: str | None = None) -> Rotation | None:
    new = new or new_token()
    async with db.transaction() as repos:
        return await repos.refresh_tokens.rotate(
            old_hash=hash_of(token),
            new_hash=hash_of(new),
            new_token=new,
            grace=GRACE,
            idle=HOUR,
            metadata=METADATA,
        )


async def word(db, token: str, new: str | None = None) -> RotationWord:
    rotation = await rotate(db, token, new)
    assert rotation is not None
    return rotation.word


async def is_alive(db, family) -> bool:
    async with db.connection() as repos:
        touched = await repos.sessions.touch_sessions([family.session_id], idle=HOUR, unwritten=HOUR)
        return family.session_id in touched


@pytest.fixture
async def second(postgres_config, ring, codec):
    """The same database as another instance sees it."""
    database = await Database.open(postgres_config, repositories_over(ring, codec, BlindIndex(ring)))
    yield database
    await database.close()


async def test_a_token_rotates_and_its_successor_does(db):
    family = await insert_family(db)
    token = family.token
    for _ in range(3):
        new = new_token()
        rotation = await rotate(db, token, new)
        assert rotation == Rotation(word=R.ROTATED, session_id=family.session_id, user_id=family.user_id)
        token = new


async def test_an_unknown_token_is_nothing(db):
    assert await rotate(db, new_token()) is None
    async with db.connection() as repos:
        assert await repos.refresh_tokens.find_session_id(hash_of("cyr_unknown")) is None


async def test_the_same_again_within_the_grace_gives_the_same_successor(db):
    family, new = await insert_family(db), new_token()
    await rotate(db, family.token, new)
    for _ in range(3):
        rotation = await rotate(db, family.token)
        assert rotation is not None
        assert (rotation.word, rotation.successor) == (R.REPEATED, new)
        assert new not in repr(rotation)
    assert await word(db, new) is R.ROTATED


async def test_after_the_grace_it_is_a_theft_and_the_family_dies(db, postgres_config):
    family, new = await insert_family(db), new_token()
    await rotate(db, family.token, new)
    as_owner(postgres_config, "UPDATE refresh_tokens SET consumed_at = consumed_at - interval '10 s 1 ms'")
    assert await word(db, family.token) is R.REUSED
    assert not await is_alive(db, family)
    assert await word(db, family.token) is R.DEAD
    assert await word(db, new) is R.DEAD
    async with db.connection() as repos:
        session = await repos.sessions.get_session(family.session_id)
    assert session.revoked_reason == "refresh_reuse"


async def test_just_within_the_grace_it_is_not(db, postgres_config):
    family = await insert_family(db)
    await rotate(db, family.token)
    as_owner(postgres_config, "UPDATE refresh_tokens SET consumed_at = consumed_at - interval '8 seconds'")
    assert await word(db, family.token) is R.REPEATED
    assert await is_alive(db, family)


async def test_a_parent_has_no_grace_once_its_child_was_used(db, postgres_config):
    family, child = await insert_family(db), new_token()
    await rotate(db, family.token, child)
    await rotate(db, child)
    (row,) = as_owner(
        postgres_config, "SELECT successor FROM refresh_tokens WHERE token_hash = %s", hash_of(family.token)
    )
    assert row == (None,)
    assert await word(db, family.token) is R.REUSED
    assert not await is_alive(db, family)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("UPDATE user_sessions SET revoked_at = now(), revoked_reason = 'logout'", R.DEAD),
        ("UPDATE users SET is_active = FALSE", R.DEAD),
        ("UPDATE user_sessions SET idle_expires_at = now() - interval '1 second'", R.EXPIRED),
        (
            "UPDATE user_sessions SET idle_expires_at = now() - interval '2 s', expires_at = now() - interval '1 s'",
            R.EXPIRED,
        ),
    ],
)
async def test_a_token_lives_as_long_as_its_session(db, postgres_config, over, expected):
    family = await insert_family(db)
    as_owner(postgres_config, over)
    assert await word(db, family.token) is expected
    assert as_owner(postgres_config, "SELECT count(*) FROM refresh_tokens") == [(1,)]
    assert as_owner(postgres_config, "SELECT consumed_at FROM refresh_tokens") == [(None,)]


async def test_a_spent_token_of_a_dead_session_gives_no_successor(db):
    family = await insert_family(db)
    await rotate(db, family.token)
    async with db.connection() as repos:
        assert await repos.sessions.revoke_session(family.session_id, family.user_id, "logout")
    rotation = await rotate(db, family.token)
    assert rotation is not None
    assert (rotation.word, rotation.successor) == (R.DEAD, None)


async def test_rotating_prolongs_the_session(db, postgres_config):
    family = await insert_family(db)
    as_owner(postgres_config, "UPDATE user_sessions SET idle_expires_at = now() + interval '1 second'")
    await rotate(db, family.token)
    (row,) = as_owner(postgres_config, "SELECT idle_expires_at - last_seen_at FROM user_sessions")
    assert row == (HOUR,)


async def test_no_token_stands_in_the_clear(db, postgres_config):
    family, new = await insert_family(db), new_token()
    await rotate(db, family.token, new)
    rows = str(as_owner(postgres_config, "SELECT t::text FROM refresh_tokens t"))
    for canary in (family.token, new, METADATA.ip_address, METADATA.user_agent):
        assert canary not in rows


async def test_sixteen_at_once_on_two_instances_get_one_successor_twenty_times_over(db, second):
    family = await insert_family(db)
    token = family.token
    for _ in range(20):
        news = [new_token() for _ in range(16)]
        instances = [db, second] * 8
        rotations = await asyncio.gather(
            *(rotate(instance, token, new) for instance, new in zip(instances, news, strict=True))
        )
        words = Counter(rotation.word for rotation in rotations)
        assert words == {R.ROTATED: 1, R.REPEATED: 15}
        successors = {rotation.successor or new for rotation, new in zip(rotations, news, strict=True)}
        assert len(successors) == 1
        token = successors.pop()
    assert await is_alive(db, family)


async def test_logout_against_refresh_leaves_nothing_that_works(db, second):
    for _ in range(50):
        family, news = await insert_family(db), [new_token() for _ in range(4)]

        async def log_out(family=family) -> bool:
            async with second.transaction() as repos:
                return await repos.sessions.revoke_session(family.session_id, family.user_id, "logout")

        ended, *rotations = await asyncio.gather(log_out(), *(rotate(db, family.token, new) for new in news))
        assert ended
        assert {rotation.word for rotation in rotations} <= {R.ROTATED, R.REPEATED, R.DEAD}
        for token in (family.token, *news):
            rotation = await rotate(db, token)
            assert rotation is None or rotation.word is R.DEAD
        assert not await is_alive(db, family)


async def test_reuse_against_a_refresh_of_the_child_kills_both(db, second, postgres_config):
    """The thief's token and the owner's, at the same moment: whatever is minted does not outlive the theft."""
    for _ in range(20):
        family, child, grandchild = await insert_family(db), new_token(), new_token()
        await rotate(db, family.token, child)
        as_owner(
            postgres_config,
            "UPDATE refresh_tokens SET consumed_at = consumed_at - interval '11 s' WHERE token_hash = %s",
            hash_of(family.token),
        )
        stolen, owned = await asyncio.gather(rotate(second, family.token), rotate(db, child, grandchild))
        assert stolen.word is R.REUSED
        assert owned.word in (R.ROTATED, R.DEAD)
        for token in (child, grandchild):
            rotation = await rotate(db, token)
            assert rotation is None or rotation.word is R.DEAD


async def test_refresh_ending_all_and_touching_at_once_never_deadlock(db, second):
    """Locks are taken in one order: user, session, token. A deadlock would show as PostgresUnavailable."""

    async def end_all(user_id) -> None:
        async with second.transaction() as repos:
            await repos.users.set_sessions_revoked(user_id)
            await repos.sessions.revoke_sessions(user_id, keep=None, reason="all")

    async def begin(user_id) -> None:
        async with db.transaction() as repos:
            assert await repos.users.hold_user(user_id)
            login = login_of(user_id, new_id(CLOCK), credential_id=b"x" * 16)
            assert (await repos.logins.end_login(login)).open is None
            return await repos.logins.end_login(login_of(user_id, new_id(CLOCK)))

    for _ in range(15):
        family = await insert_family(db)
        await asyncio.gather(
            *(rotate(db, family.token) for _ in range(4)),
            *(is_alive(second, family) for _ in range(4)),
            *(begin(family.user_id) for _ in range(3)),
            end_all(family.user_id),
            end_all(family.user_id),
        )
        assert not await is_alive(db, family)


@pytest.mark.parametrize("column", ["successor", "metadata"])
async def test_a_successor_that_was_moved_does_not_open(db, postgres_config, column):
    one, other = await insert_family(db), await insert_family(db)
    for family in (one, other):
        await rotate(db, family.token)
    as_owner(
        postgres_config,
        f"UPDATE refresh_tokens t SET successor = o.{column}, successor_key_id = o.{column}_key_id "
        "FROM refresh_tokens o WHERE t.token_hash = %s AND o.token_hash = %s",
        hash_of(one.token),
        hash_of(other.token),
    )
    with pytest.raises(FieldDoesNotOpen):
        await rotate(db, one.token)
    assert await word(db, other.token) is R.REPEATED


async def test_a_rotation_that_is_rolled_back_never_was(db):
    family, new = await insert_family(db), new_token()

    async def fail_after_it() -> None:
        async with db.transaction() as repos:
            await repos.refresh_tokens.rotate(
                old_hash=hash_of(family.token),
                new_hash=hash_of(new),
                new_token=new,
                grace=GRACE,
                idle=HOUR,
                metadata=METADATA,
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_it()
    assert await rotate(db, new) is None
    assert await word(db, family.token) is R.ROTATED


async def test_a_token_tells_its_session_spent_or_not(db):
    family = await insert_family(db)
    await rotate(db, family.token)
    async with db.connection() as repos:
        assert await repos.refresh_tokens.find_session_id(hash_of(family.token)) == family.session_id
