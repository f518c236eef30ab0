"""Ended tokens, service tokens, the audit trail, and what a database knows of its key store."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace

from cypher.clock import new_id
from cypher.crypto.codec import Cell, Sealed
from cypher.crypto.keyring import Purpose
from cypher.crypto.mac import keyed_hash
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Database
from cypher.postgres_errors import QueryFailed
from cypher.repositories.audit import AuditEntry, canonical
from cypher.repositories.deployment import Identity
from tests.factories import CLOCK, HOUR, as_owner, insert_person


def entry(**changes: object) -> AuditEntry:
    made = AuditEntry(
        id=new_id(CLOCK),
        occurred_at=datetime.now(UTC),
        retention="long",
        action="auth.login.succeeded",
        outcome="success",
        reason=None,
        severity="info",
        actor_type="user",
        actor_id=None,
        user_id=None,
        session_id=None,
        request_id="request-1",
        subject_index=None,
        details=b'{"address":"canary-address"}',
    )
    return replace(made, **changes)


# -- ended access tokens ------------------------------------------------------------------------------------


async def test_a_token_is_ended_once_and_forgotten_when_it_has_expired(db):
    session_id, now = uuid4(), datetime.now(UTC)

    async def end(jti: str, expires_at: datetime) -> bool:
        async with db.connection() as repos:
            return await repos.blacklist.insert_ended(
                jti=jti, session_id=session_id, expires_at=expires_at, reason="revoked"
            )

    assert sum(await asyncio.gather(*(end("alive", now + HOUR) for _ in range(8)))) == 1
    assert await end("expired", now - timedelta(minutes=2))
    async with db.connection() as repos:
        assert await repos.blacklist.is_ended("alive")
        assert not await repos.blacklist.is_ended("never")
        assert await repos.blacklist.delete_expired() == 1
        assert await repos.blacklist.is_ended("alive")
        assert await repos.blacklist.delete_expired() == 0


# -- service tokens -----------------------------------------------------------------------------------------


def hashed(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


async def insert_token(db, value: str, expires_at: datetime | None = None) -> UUID:
    token_id = new_id(CLOCK)
    async with db.connection() as repos:
        await repos.service_tokens.insert_token(
            token_id=token_id,
            name="billing",
            token_hash=hashed(value),
            scopes=frozenset({"introspect", "viewer"}),
            expires_at=expires_at,
        )
    return token_id


async def test_a_service_token_is_found_until_it_is_revoked(db):
    token_id = await insert_token(db, "one")
    async with db.connection() as repos:
        found = await repos.service_tokens.find_live(hashed("one"))
        assert await repos.service_tokens.find_live(hashed("two")) is None
        assert (found.id, found.name, found.scopes) == (token_id, "billing", {"introspect", "viewer"})
        assert [token.id for token in await repos.service_tokens.list_tokens()] == [token_id]
        assert await repos.service_tokens.revoke_token(token_id)
        assert not await repos.service_tokens.revoke_token(token_id)
        assert await repos.service_tokens.find_live(hashed("one")) is None
        (listed,) = await repos.service_tokens.list_tokens()
    assert listed.revoked_at is not None


async def test_an_expired_service_token_is_not_found(db):
    await insert_token(db, "old", datetime.now(UTC) - timedelta(seconds=1))
    await insert_token(db, "young", datetime.now(UTC) + HOUR)
    async with db.connection() as repos:
        assert await repos.service_tokens.find_live(hashed("old")) is None
        assert await repos.service_tokens.find_live(hashed("young")) is not None


async def test_use_is_noted_once_a_minute(db, postgres_config):
    await insert_token(db, "one")
    noted = "SELECT last_used_at FROM service_tokens"
    async with db.connection() as repos:
        await asyncio.gather(repos.service_tokens.find_live(hashed("one")))
        first = as_owner(postgres_config, noted)
        assert first != [(None,)]
        await repos.service_tokens.find_live(hashed("one"))
        assert as_owner(postgres_config, noted) == first
        as_owner(postgres_config, "UPDATE service_tokens SET last_used_at = now() - interval '61 seconds'")
        aged = as_owner(postgres_config, noted)
        await repos.service_tokens.find_live(hashed("one"))
    assert as_owner(postgres_config, noted) > aged


# -- the audit trail ----------------------------------------------------------------------------------------


async def test_an_entrys_details_are_sealed_and_all_of_it_is_hashed(db, postgres_config, ring, codec):
    made = entry(subject_index=b"0" * 16, reason="because")
    async with db.connection() as repos:
        await repos.audit.insert_entries([made], {})
    row = as_owner(
        postgres_config,
        "SELECT details, details_key_id, entry_hash, entry_hash_key_id, xid IS NOT NULL, a::text FROM audit_logs a",
    )[0]
    sealed = Sealed(str(row[0]), str(row[1]))
    assert await codec.open(sealed, Cell("audit_logs", "details", made.id)) == made.details
    assert sealed.key_id == ring.primary(Purpose.AUDIT_DATA).id
    assert row[2] == keyed_hash(ring.primary(Purpose.AUDIT_MAC), canonical(made, sealed))
    assert row[3] == ring.primary(Purpose.AUDIT_MAC).id
    assert row[4] is True
    assert "canary" not in str(row[5])
    with pytest.raises(FieldDoesNotOpen):
        await codec.open(sealed, Cell("audit_logs", "details", new_id(CLOCK)))


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"retention": "short"},
        {"action": "auth.login.succeede"},
        {"reason": ""},
        {"actor_id": "request-1", "request_id": None},
        {"user_id": UUID(int=7)},
        {"user_id": None, "session_id": UUID(int=7)},
        {"subject_index": b""},
        {"action": "auth.login.succeededs", "outcome": "uccess"},
    ],
    ids=str,
)
def test_no_two_entries_have_one_encoding(change):
    made, sealed = entry(), Sealed("ciphertext", "key")
    assert canonical(made, sealed) != canonical(replace(made, **change), sealed)
    assert canonical(made, sealed) != canonical(made, Sealed("ciphertextk", "ey"))


async def test_an_entry_of_a_month_without_a_partition_is_refused_and_its_change_with_it(db):
    far = datetime.now(UTC) + timedelta(days=400)

    async def change() -> None:
        async with db.transaction() as repos:
            await repos.deployment.insert_data_key("data-1")
            await repos.audit.insert_entries([entry(occurred_at=far)], {})

    with pytest.raises(QueryFailed):
        await change()
    async with db.connection() as repos:
        assert await repos.deployment.list_data_keys() == []


async def test_entries_go_to_the_class_they_are_of(db, postgres_config):
    async with db.connection() as repos:
        await repos.audit.insert_entries([entry()], {})
        await repos.audit.insert_entries([entry(retention="short")], {})
        with pytest.raises(QueryFailed):
            await repos.audit.insert_entries([entry(retention="forever")], {})
    assert as_owner(postgres_config, "SELECT count(*) FROM audit_logs_long") == [(1,)]
    assert as_owner(postgres_config, "SELECT count(*) FROM audit_logs_short") == [(1,)]


# -- the key store's database -------------------------------------------------------------------------------


async def test_the_first_identity_stays(db):
    identities = [Identity(store_id=uuid4(), generation=1) for _ in range(8)]

    async def insert(identity: Identity) -> bool:
        async with db.transaction() as repos:
            return await repos.deployment.insert_identity(identity)

    inserted = await asyncio.gather(*(insert(identity) for identity in identities))
    assert sum(inserted) == 1
    async with db.connection() as repos:
        assert await repos.deployment.get_identity() == identities[inserted.index(True)]


async def test_a_generation_only_goes_forwards(db):
    store_id = uuid4()
    async with db.connection() as repos:
        assert await repos.deployment.get_identity() is None
        await repos.deployment.insert_identity(Identity(store_id=store_id, generation=3))
        for generation in (4, 2, 4):
            await repos.deployment.set_generation(generation)
        assert await repos.deployment.get_identity() == Identity(store_id=store_id, generation=4)


async def test_the_first_epoch_stays(db):
    async with db.connection() as repos:
        assert await repos.deployment.get_epoch() is None
        await repos.deployment.insert_epoch("first")
        await repos.deployment.insert_epoch("second")
        assert await repos.deployment.get_epoch() == "first"


async def test_a_second_row_is_impossible_even_for_the_owner(postgres_config):
    as_owner(postgres_config, "INSERT INTO deployment (epoch) VALUES ('one')")
    with pytest.raises(psycopg.errors.CheckViolation):
        as_owner(postgres_config, "INSERT INTO deployment (only_row, epoch) VALUES (FALSE, 'two')")


async def test_data_keys_are_noted_once(db):
    async with db.connection() as repos:
        for key_id in ("data-1", "data-2", "data-1"):
            await repos.deployment.insert_data_key(key_id)
        assert await repos.deployment.list_data_keys() == ["data-1", "data-2"]


async def test_a_person_or_an_entry_makes_a_database_one_with_sealed_rows(db, other_postgres_config, ring, codec):
    async with db.connection() as repos:
        assert not await repos.deployment.has_sealed_rows()
    await insert_person(db)
    async with db.connection() as repos:
        assert await repos.deployment.has_sealed_rows()
    other = await Database.open(other_postgres_config, db._over)
    async with other.connection() as repos:
        assert not await repos.deployment.has_sealed_rows()
        await repos.audit.insert_entries([entry()], {})
        assert await repos.deployment.has_sealed_rows()
    await other.close()
