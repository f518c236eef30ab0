"""Erased is erased: what named a person in the trail opens for nobody, and the trail still holds."""

import asyncio
from uuid import uuid4

import pytest

from cypher.auth.audit import SUBJECT, Happening
from cypher.auth.entries import opened
from cypher.auth.events import Event
from cypher.crypto.blind_index import BlindIndex
from cypher.errors import FieldDoesNotOpen
from cypher.repositories.trail import Spot, TrailFilter
from tests.factories import insert_person


async def entries_of(trail, user_id):
    async with trail.db.connection() as repos:
        found = await repos.trail.list_newest(TrailFilter(user_id=user_id), Spot(), 10)
        return await opened(repos, found)


async def test_details_of_a_person_open_until_the_person_is_erased(trail) -> None:
    alice, bob = await insert_person(trail.db), await insert_person(trail.db)
    for person in (alice, bob):
        await trail.write(2, user_id=person.id, username=person.username)
    await trail.seal()
    assert {entry.details.username for entry in await entries_of(trail, alice.id)} == {alice.username}

    async with trail.db.transaction() as repos:
        assert await repos.audit_subjects.erase(alice.id)
        assert not await repos.audit_subjects.erase(alice.id)
    assert [entry.details for entry in await entries_of(trail, alice.id)] == [None, None]
    assert {entry.details.address for entry in await entries_of(trail, bob.id)} == {"203.0.113.7"}
    assert (await trail.verify()).finding is None


async def test_neither_the_months_key_nor_another_persons_secret_opens_them(trail) -> None:
    alice, bob = await insert_person(trail.db), await insert_person(trail.db)
    await trail.write(1, user_id=alice.id)
    await trail.write(1, user_id=bob.id)
    async with trail.db.transaction() as repos:
        await repos.audit_subjects.erase(alice.id)
        (entry,) = await repos.trail.list_newest(TrailFilter(user_id=alice.id), Spot(), 10)
        secrets = await repos.audit_subjects.find_secrets({alice.id, bob.id})
        assert set(secrets) == {bob.id}
        for guess in ({}, {alice.id: secrets[bob.id]}, {alice.id: b""}):
            with pytest.raises(FieldDoesNotOpen):
                await repos.trail.open_details(entry, guess)


async def test_deleting_a_person_takes_the_secret_along(trail) -> None:
    person = await insert_person(trail.db)
    await trail.write(1, user_id=person.id)
    assert trail.rows("SELECT count(*) FROM audit_subjects") == [(1,)]
    trail.attack(f"DELETE FROM users WHERE id = '{person.id}'")
    assert trail.rows("SELECT count(*) FROM audit_subjects") == [(0,)]


async def test_what_comes_after_the_deletion_opens_for_nobody_and_leaves_no_secret(trail) -> None:
    person = await insert_person(trail.db)
    await trail.write(1, user_id=person.id)
    trail.attack(f"DELETE FROM users WHERE id = '{person.id}'")
    await trail.write(1, user_id=person.id)
    await trail.write(1, user_id=uuid4())
    assert [entry.details for entry in await entries_of(trail, person.id)] == [None, None]
    assert trail.rows("SELECT count(*) FROM audit_subjects") == [(0,)]


async def test_a_persons_secret_is_made_once_however_many_write_first(trail) -> None:
    person = await insert_person(trail.db)
    await asyncio.gather(*(trail.write(1, user_id=person.id) for _ in range(8)))
    assert trail.rows("SELECT count(*) FROM audit_subjects") == [(1,)]
    assert all(entry.details for entry in await entries_of(trail, person.id))


async def test_a_secret_that_does_not_open_keeps_nobody_else_from_the_trail(trail, caplog) -> None:
    alice, bob = await insert_person(trail.db), await insert_person(trail.db)
    for person in (alice, bob):
        await trail.write(1, user_id=person.id)
    trail.attack(f"UPDATE audit_subjects SET secret = left(secret, -8) WHERE user_id = '{alice.id}'")
    for person in (alice, bob):
        trail.audit.record_failure(Happening(event=Event.LOGIN_FAILED, user_id=person.id), None)
    await trail.audit.flush(trail.db)
    assert trail.audit.held == 0
    assert [entry.details for entry in await entries_of(trail, alice.id)] == [None, None]
    assert all(entry.details for entry in await entries_of(trail, bob.id))
    assert str(alice.id) in caplog.text
    await trail.seal()
    assert (await trail.verify()).finding is None


async def test_a_name_that_nobody_has_is_an_index_and_nothing_else(trail, ring) -> None:
    await trail.write(1, username="hunter2 typed a line too early")
    async with trail.db.connection() as repos:
        indexes = await BlindIndex(ring).indexes("hunter2 typed a line too early", SUBJECT)
        (entry,) = await opened(repos, await repos.trail.list_newest(TrailFilter(subject=indexes), Spot(), 10))
    assert entry.details.username is None
    assert "hunter2" not in str(trail.rows("SELECT a::text FROM audit_logs a"))
