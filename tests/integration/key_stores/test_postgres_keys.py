"""The key store in PostgreSQL: what a directory cannot meet."""

import json
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from cypher import sqlfiles
from cypher.config import PostgresConfig
from cypher.crypto import keystore
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import StoredRing
from cypher.crypto.rotation import rotate
from cypher.crypto.stored import encode_ring
from cypher.errors import KeyStoreRefused
from cypher.postgres_keys import PostgresKeyStore
from tests.factories import as_owner, connect_as_owner
from tests.integration.key_stores.places import PostgresPlace, make_ring, open_ring

LOSE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND database =
       (SELECT oid FROM pg_database WHERE datname = %s)
"""


@pytest.fixture
def place(postgres_config: PostgresConfig) -> PostgresPlace:
    return PostgresPlace(postgres_config)


@pytest.fixture
def store(place: PostgresPlace) -> PostgresKeyStore:
    return place.store()


@pytest.fixture
def stored(ring: KeyRing, store: PostgresKeyStore) -> StoredRing:
    found = store.read()
    assert found is not None
    return found


@pytest.fixture
def lose_the_lock(servers, postgres_config) -> Callable[[], None]:
    """End the connection that holds the lock, from the server's side."""

    def lose() -> None:
        with servers.superuser() as connection:
            assert connection.execute(LOSE, [postgres_config.database]).fetchall() == [(True,)]

    return lose


@contextmanager
def no_connections(servers, config: PostgresConfig):
    with servers.superuser() as connection:
        connection.execute(f"ALTER DATABASE {config.database} ALLOW_CONNECTIONS false")
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {config.database} ALLOW_CONNECTIONS true")


# -- a lock that was lost -----------------------------------------------------------------------------------


def test_a_lost_lock_loses_no_write_of_another(stored, store, place: PostgresPlace, lose_the_lock) -> None:
    with store.lock():
        lose_the_lock()
        theirs = rotate(open_ring(place.store()), Purpose.DATA)
        before = place.content()
        with pytest.raises(KeyStoreRefused, match="Nothing was changed"):
            store.write(replace(stored, generation=2))
    assert place.content() == before
    assert open_ring(store).primary(Purpose.DATA).id == theirs.id


def test_a_lost_lock_loses_no_write_that_came_after_a_new_look(stored, store, place, lose_the_lock) -> None:
    with store.lock():
        lose_the_lock()
        rotate(open_ring(place.store()), Purpose.DATA)
        seen = store.read()
        rotate(open_ring(place.store()), Purpose.DATA)
        before = place.content()
        with pytest.raises(KeyStoreRefused, match="Nothing was changed"):
            store.write(replace(seen, generation=3))
    assert place.content() == before


def test_a_lost_lock_brings_back_no_ring_that_was_moved_away(stored, store, place, lose_the_lock) -> None:
    with store.lock():
        lose_the_lock()
        mover = place.store()
        with mover.lock():
            mover.remove()
        with pytest.raises(KeyStoreRefused, match="Nothing was changed"):
            store.write(replace(stored, generation=2))
    assert store.read() is None


def test_a_lost_lock_removes_no_newer_ring(ring: KeyRing, store, place: PostgresPlace, lose_the_lock) -> None:
    with store.lock():
        lose_the_lock()
        rotate(open_ring(place.store()), Purpose.DATA)
        with pytest.raises(KeyStoreRefused, match="Nothing was changed"):
            store.remove()
    assert open_ring(store).generation == 2


def test_a_lost_lock_makes_no_second_ring(store, place: PostgresPlace, lose_the_lock) -> None:
    with store.lock():
        lose_the_lock()
        make_ring(place.store())
        made = store.read()
        assert made is not None
        with pytest.raises(KeyStoreRefused, match="Nothing was changed"):
            store.write(replace(made, store_id=UUID(int=1)))
    assert store.read() == made


def test_a_lock_that_is_lost_while_nobody_writes_is_no_error(ring: KeyRing, store, stored, lose_the_lock) -> None:
    with store.lock():
        lose_the_lock()
        store.write(replace(stored, generation=2))
    assert store.read() == replace(stored, generation=2)


def test_a_short_idle_time_of_the_database_does_not_end_the_lock(
    servers, stored, store, place: PostgresPlace, monkeypatch
) -> None:
    with servers.superuser() as connection:
        connection.execute(f"ALTER DATABASE {place.config.database} SET idle_in_transaction_session_timeout = 50")
    with store.lock():
        time.sleep(0.3)
        monkeypatch.setattr(keystore, "LOCK_SECONDS", 0.02)
        with pytest.raises(KeyStoreRefused, match="Another process"), place.store().lock():
            pytest.fail("locked twice")


# -- a server that is away, or not ready ----------------------------------------------------------------------


def test_a_server_that_is_away_is_refused_in_one_sentence_without_the_password(ring: KeyRing, place) -> None:
    away = PostgresKeyStore(replace(place.config, hosts=("127.0.0.1",), port=1))
    for act in (away.read, lambda: away.lock().__enter__()):
        with pytest.raises(KeyStoreRefused, match=r"Is PostgreSQL running.* Nothing was changed") as refused:
            act()
        assert "127.0.0.1:1" in str(refused.value)
        assert refused.value.__suppress_context__
    assert away.stamp() is None


def test_a_server_that_goes_away_under_the_lock_refuses_the_write(servers, stored, store, place, ring) -> None:
    before = place.content()
    with store.lock(), no_connections(servers, place.config), pytest.raises(KeyStoreRefused, match="cannot be written"):
        store.write(replace(stored, generation=2))
    assert place.content() == before


def test_a_ring_outlives_a_server_that_is_away_for_a_while(servers, ring: KeyRing, place: PostgresPlace) -> None:
    with no_connections(servers, place.config):
        assert not ring.reload()
        assert not ring.healthy
        assert ring.primary(Purpose.DATA).secret
    new = rotate(open_ring(place.store()), Purpose.DATA)
    assert ring.reload()
    assert ring.healthy
    assert ring.primary(Purpose.DATA).id == new.id


def test_a_write_that_fails_half_way_leaves_the_old_ring(stored, store, place: PostgresPlace) -> None:
    before = place.content()
    with pytest.raises(KeyStoreRefused, match=r"cannot be written \(23505\)") as refused, store.lock():
        store.write(replace(stored, generation=2, keys=(stored.keys[0], stored.keys[0])))
    assert stored.keys[0].wrapped not in str(refused.value)
    assert place.content() == before


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE key_store RENAME TO mislaid", "REVOKE ALL ON key_store FROM cypher_service"],
)
def test_missing_tables_or_rights_ask_for_a_migration(store, place: PostgresPlace, statement: str) -> None:
    as_owner(place.config, statement)
    for act in (store.read, lambda: store.lock().__enter__()):
        with pytest.raises(KeyStoreRefused, match="cypher migrate"):
            act()
    assert store.stamp() is None


def test_going_back_a_migration_is_refused_while_the_keys_are_here(ring: KeyRing, place: PostgresPlace) -> None:
    rollback = (sqlfiles.migrations_path() / "0009_key_store.rollback.sql").read_text()
    with connect_as_owner(place.config) as connection, connection.transaction():
        with pytest.raises(psycopg.errors.RaiseException, match="move-store"), connection.transaction():
            connection.execute(rollback)
        connection.execute("DELETE FROM key_store")
        connection.execute(rollback)
        raise psycopg.Rollback


# -- rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "kdf_name = 'md5'",
        r"kdf_salt = '\x00'",
        r"kdf_salt = decode(repeat('00', 600), 'hex')",
        "kdf_rounds = 0",
        "kdf_rounds = 2000000000",
        "generation = -1",
        "epoch = ''",
        "check_value = E'a\\nb'",
    ],
)
def test_a_ring_that_this_version_would_not_have_written_is_refused(ring: KeyRing, store, place, change: str) -> None:
    as_owner(place.config, f"UPDATE key_store SET {change}")
    before = place.content()
    with pytest.raises(KeyStoreRefused, match=r"corrupt.* Nothing was changed"):
        store.read()
    assert place.content() == before


@pytest.mark.parametrize(
    "change",
    [
        "created_at = 'infinity'",
        "activated_at = '-infinity'",
        "created_at = '0044-03-15 BC'",
        "created_at = '20000-01-01'",
        "algorithm = ''",
        "state = 'active', purpose = 'data', algorithm = 'fernet'",
    ],
)
def test_a_key_that_this_version_would_not_have_written_is_refused(ring: KeyRing, store, place, change: str) -> None:
    as_owner(place.config, f"UPDATE encryption_keys SET {change} WHERE purpose = 'cache'")
    with pytest.raises(KeyStoreRefused, match=r"corrupt.* Nothing was changed"):
        store.read()


def test_a_time_zone_of_the_database_changes_nothing(servers, stored, place: PostgresPlace) -> None:
    with servers.superuser() as connection:
        connection.execute(f"ALTER DATABASE {place.config.database} SET timezone = 'Asia/Kathmandu'")
    assert place.store().read() == stored


def test_the_query_gives_the_file_that_the_recovery_page_opens(stored, place: PostgresPlace) -> None:
    ((text,),) = as_owner(place.config, sqlfiles.load("encryption_keys").get_ring.sql)
    assert keystore.ring_in(str(text).encode(), "it") == stored
    assert json.loads(str(text)).keys() == json.loads(encode_ring(stored)).keys()
