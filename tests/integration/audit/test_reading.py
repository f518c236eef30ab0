"""Reading the trail: by filter, page by page, in constant memory, and never unrecorded."""

import tracemalloc
from datetime import timedelta
from uuid import uuid4

import pytest

from cypher.auth.audit import Actor
from cypher.auth.events import ActorType, Event
from cypher.auth.trail import AuditTrail, Reader, TrailQuery
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.keyring import Purpose
from cypher.errors import PostgresUnavailable, TrailRefused, ValidationFailed
from cypher.maintenance.exporting import TrailExport
from tests.factories import CLOCK, insert_person
from tests.integration.audit.conftest import HERE, KEEP

READER = Reader(actor=Actor(type=ActorType.OPERATOR, id="token-1"), source=HERE)
MANY = 100_000


@pytest.fixture
def reading(trail, db, ring) -> AuditTrail:
    return AuditTrail(db=db, audit=trail.audit, index=BlindIndex(ring))


async def actions(reading: AuditTrail, **query: object) -> list[str]:
    return [entry.action async for entry in reading.stream(TrailQuery(**query), READER)]


async def test_each_filter_finds_what_it_says(trail, reading) -> None:
    person = await insert_person(trail.db)
    began = CLOCK.now()
    await trail.write(2, user_id=person.id, username=person.username)
    await trail.write(1, user_id=person.id, event=Event.LOGIN_FAILED)
    await trail.write(1, username="nobody", event=Event.LOGIN_FAILED)
    middle = CLOCK.now()
    await trail.write(1, event=Event.KEY_ROTATED)
    created, failed, rotated = "session.session.created", "auth.login.failed", "crypto.key.rotated"
    assert await actions(reading, action=failed) == [failed, failed]
    assert await actions(reading, user_id=person.id, action=created) == [created, created]
    assert await actions(reading, username=person.username.upper(), action=failed) == [failed]
    assert await actions(reading, username="NoBody", action=failed) == [failed]
    assert await actions(reading, user_id=uuid4()) == ["audit.trail.exported"]  # that it was asked for
    assert await actions(reading, since=middle, action=rotated) == [rotated]
    assert await actions(reading, until=middle, since=began) == [failed, failed, created, created]
    assert await actions(reading, until=began - timedelta(hours=1)) == []


async def test_pages_go_on_where_they_stopped_though_others_write(trail, reading) -> None:
    await trail.write(7)
    query, seen, cursor = TrailQuery(action="session.session.created"), [], None
    while True:
        page = await reading.list_entries(query, READER, cursor=cursor, limit=3)
        seen += [entry.id for entry in page.items]
        await trail.write(1)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    with pytest.raises(ValidationFailed):
        await reading.list_entries(query, READER, cursor="x")


async def test_who_reads_is_in_the_trail_before_anything_is_shown(trail, reading) -> None:
    person = await insert_person(trail.db)
    await reading.list_entries(TrailQuery(user_id=person.id, action="auth.login.failed"), READER)
    (entry,) = (await reading.list_entries(TrailQuery(action="audit.trail.read"), READER)).items[1:]
    assert (entry.actor.type, entry.actor.id, entry.user_id) == ("operator", "token-1", person.id)
    assert (entry.details.note, entry.details.address) == ("action auth.login.failed", HERE.address)
    trail.attack("REVOKE INSERT ON audit_logs FROM cypher_service")
    for ask in (reading.list_entries(TrailQuery(), READER), anext(reading.stream(TrailQuery(), READER))):
        with pytest.raises((TrailRefused, PostgresUnavailable)):
            await ask


def fill(trail, count: int) -> None:
    """Put in entries whose details do not open; what is read of them is the rest."""
    key = trail.ring.primary(Purpose.AUDIT_DATA).id
    trail.attack(
        "INSERT INTO audit_logs (retention, occurred_at, id, action, outcome, severity, actor_type, details,"
        " details_key_id, entry_hash, entry_hash_key_id)"
        " SELECT 'long', at, (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000'"
        " || '8000' || lpad(to_hex(n), 12, '0'))::uuid, 'auth.login.succeeded', 'success', 'info', 'user', 'x',"
        f" '{key}', sha256('x'), 'x'"
        f" FROM (SELECT n, now() - n * interval '1 millisecond' AS at FROM generate_series(1, {count}) n) AS made"
    )


@pytest.mark.slow
async def test_a_long_trail_is_read_and_exported_in_constant_memory(trail, reading) -> None:
    fill(trail, MANY)
    tracemalloc.start()
    try:
        read = lines = 0
        async for _ in reading.stream(TrailQuery(action="auth.login.succeeded"), READER):
            read += 1
        async for _ in TrailExport(db=trail.db, ring=trail.ring, clock=CLOCK, keep=KEEP).lines():
            lines += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == MANY
    assert lines == MANY + 4  # a header, a public key, what was asked for above, the end
    assert peak < 10_000_000
