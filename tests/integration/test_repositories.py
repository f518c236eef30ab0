"""What repositories promise about races, about ciphertexts that somebody has moved, and about the database's errors."""

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from cypher.clock import SystemClock, new_id
from cypher.errors import FieldDoesNotOpen
from cypher.repositories import Repositories
from cypher.repositories.refresh_tokens import RotationWord, TokenMetadata

IDLE, ABSOLUTE, GRACE = timedelta(days=7), timedelta(days=30), timedelta(seconds=10)
ABOUT = TokenMetadata(ip_address="203.0.113.9", user_agent="test")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def make_user(repos: Repositories, name: str) -> UUID:
    user = await repos.users.insert_user(
        user_id=new_id(SystemClock()),
        username=name,
        opaque_record=name.encode().ljust(192, b"."),
        opaque_setup_id="opaque-test",
        opaque_credential_id=digest(name)[:16],
    )
    assert user is not None
    return user.id


async def make_session(repos: Repositories, user_id: UUID, *, token: str = "first") -> UUID:
    session_id = new_id(SystemClock())
    assert await repos.sessions.insert_session(
        session_id=session_id,
        user_id=user_id,
        user_agent="agent",
        amr=("opaque",),
        ip_address="203.0.113.9",
        aal=1,
        idle=IDLE,
        absolute=ABSOLUTE,
    )
    await repos.refresh_tokens.insert_first(
        token_hash=digest(token), session_id=session_id, user_id=user_id, metadata=ABOUT
    )
    return session_id


def execute(config, statement: str) -> None:
    password = config.migration_password
    with psycopg.connect(
        host=config.hosts[0],
        port=config.port,
        user=config.migration_user,
        password=password.reveal() if password else None,
        dbname=config.database,
        autocommit=True,
    ) as connection:
        connection.execute(statement)


async def rotate(db, token: str, new: str):
    async with db.transaction() as repos:
        return await repos.refresh_tokens.rotate(
            old_hash=digest(token), new_hash=digest(new), new_token=new, grace=GRACE, idle=IDLE, metadata=ABOUT
        )


async def test_twenty_rounds_of_sixteen_racing_rotations_make_one_child_each(db) -> None:
    async with db.transaction() as repos:
        await make_session(repos, await make_user(repos, "alice"), token="token-0")
    for round_ in range(20):
        names = [f"token-{round_ + 1}-{racer}" for racer in range(16)]
        outcomes = await asyncio.gather(*(rotate(db, f"token-{round_}", name) for name in names))
        words = [outcome.word for outcome in outcomes]
        assert words.count(RotationWord.ROTATED) == 1
        assert words.count(RotationWord.REPEATED) == 15
        winner = names[words.index(RotationWord.ROTATED)]
        assert {outcome.successor for outcome in outcomes} == {None, winner}
        follow = await rotate(db, winner, f"token-{round_ + 1}")
        assert follow.word is RotationWord.ROTATED


async def test_a_token_shown_after_the_grace_ends_its_session(db, postgres_config) -> None:
    async with db.transaction() as repos:
        session_id = await make_session(repos, await make_user(repos, "alice"))
    await rotate(db, "first", "second")
    execute(postgres_config, "UPDATE refresh_tokens SET consumed_at = consumed_at - interval '11 seconds'")
    assert (await rotate(db, "first", "third")).word is RotationWord.REUSED
    assert (await rotate(db, "second", "fourth")).word is RotationWord.DEAD
    async with db.connection() as repos:
        session = await repos.sessions.get_session(session_id)
    assert session.revoked_reason == "refresh_reuse"


async def test_an_idle_session_and_an_unknown_token_are_told_apart(db, postgres_config) -> None:
    async with db.transaction() as repos:
        session_id = await make_session(repos, await make_user(repos, "alice"))
    execute(postgres_config, "UPDATE user_sessions SET idle_expires_at = now()")
    assert (await rotate(db, "first", "second")).word is RotationWord.EXPIRED
    assert await rotate(db, "never", "second") is None
    async with db.connection() as repos:
        assert await repos.sessions.touch_session(session_id, IDLE) is None


async def test_a_disabled_persons_tokens_and_sessions_are_dead(db) -> None:
    async with db.transaction() as repos:
        user_id = await make_user(repos, "alice")
        session_id = await make_session(repos, user_id)
        await repos.users.set_active(user_id, False)
    assert (await rotate(db, "first", "second")).word is RotationWord.DEAD
    async with db.connection() as repos:
        assert await repos.sessions.touch_session(session_id, IDLE) is None


async def test_racing_insertions_of_one_name_leave_one(db) -> None:
    async def insert() -> bool:
        async with db.transaction() as repos:
            user = await repos.users.insert_user(
                user_id=new_id(SystemClock()),
                username="the-one",
                opaque_record=bytes(192),
                opaque_setup_id="opaque-test",
                opaque_credential_id=bytes(16),
            )
            return user is not None

    assert sum(await asyncio.gather(*(insert() for _ in range(20)))) == 1


SWAPS = {
    "records of two people": """
        UPDATE users a SET opaque_record = b.opaque_record, opaque_record_key_id = b.opaque_record_key_id
          FROM users b WHERE a.id <> b.id""",
    "names of two people": """
        UPDATE users a SET username = b.username, username_key_id = b.username_key_id
          FROM users b WHERE a.id <> b.id""",
    "two columns of one row": "UPDATE users SET opaque_record = username, username = opaque_record",
    "key ids": "UPDATE users SET opaque_record_key_id = 'data-20200101-00000000', username_key_id = ''",
    "a cut end": "UPDATE users SET opaque_record = left(opaque_record, -4), username = left(username, -4)",
    "nothing left": "UPDATE users SET opaque_record = '', username = ''",
}


@pytest.mark.parametrize("swap", SWAPS)
async def test_a_ciphertext_that_was_moved_or_changed_does_not_open(db, postgres_config, swap: str) -> None:
    async with db.transaction() as repos:
        users = [await make_user(repos, name) for name in ("alice", "bob")]
    execute(postgres_config, SWAPS[swap])
    broken = 0
    async with db.connection() as repos:
        for name, user_id in zip(("alice", "bob"), users, strict=True):
            for read in (repos.users.find_login_record(name), repos.users.get_user(user_id)):
                try:
                    await read
                except FieldDoesNotOpen:
                    broken += 1
    assert broken >= 2


async def test_session_fields_and_successors_moved_between_sessions_do_not_open(db, postgres_config) -> None:
    async with db.transaction() as repos:
        user_id = await make_user(repos, "alice")
        sessions = [await make_session(repos, user_id, token=f"first-{n}") for n in range(2)]
    await rotate(db, "first-0", "second-0")
    await rotate(db, "first-1", "second-1")
    execute(
        postgres_config,
        """UPDATE refresh_tokens a SET successor = b.successor FROM refresh_tokens b
            WHERE a.token_hash <> b.token_hash AND a.successor IS NOT NULL AND b.successor IS NOT NULL""",
    )
    with pytest.raises(FieldDoesNotOpen):
        await rotate(db, "first-0", "third-0")
    execute(
        postgres_config,
        """UPDATE user_sessions a SET session_data = b.session_data FROM user_sessions b
            WHERE a.session_id <> b.session_id""",
    )
    async with db.connection() as repos:
        for session_id in sessions:
            with pytest.raises(FieldDoesNotOpen):
                await repos.sessions.get_session(session_id)


async def test_a_change_and_its_neighbours_are_undone_together(db) -> None:
    async def stop_halfway() -> None:
        async with db.transaction() as repos:
            await make_user(repos, "alice")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await stop_halfway()
    async with db.connection() as repos:
        assert await repos.users.find_by_username("alice") is None
