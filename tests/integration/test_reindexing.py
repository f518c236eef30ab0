"""Names are indexed under a new key while people log in, and no name is ever given twice."""

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from cypher.auth.audit import Audit
from cypher.auth.naming import hold_names
from cypher.clock import SystemClock, new_id
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing, Purpose, RotationPolicy, State
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.errors import KeyStoreRefused, KeysUnavailable, NamesBusy, OperatorError
from cypher.maintenance.key_identity import note_ring
from cypher.maintenance.reindexing import Reindexing
from cypher.maintenance.retirement import Retirement
from cypher.postgres import Database
from cypher.repositories import repositories_over
from cypher.repositories.deployment import Identity
from cypher.repositories.indexed_columns import COLUMNS
from tests.conftest import MASTER_PASSWORD
from tests.factories import as_owner, connect_as_owner, insert_device, insert_family, insert_person

CLOCK = SystemClock()


@pytest.fixture
async def known(db, ring: KeyRing) -> None:
    """The database knows its key store, as after the first start."""
    async with db.transaction() as repos:
        await repos.deployment.insert_identity(Identity(store_id=ring.store_id, generation=ring.generation))


@pytest.fixture
def run(db, ring: KeyRing, known) -> Reindexing:
    return Reindexing(db=db, ring=ring, audit=Audit(CLOCK, BlindIndex(ring)), clock=CLOCK, settle_seconds=0)


@pytest.fixture
async def elsewhere(postgres_config, tmp_path, ring: KeyRing):
    """Another process: a ring of its own over the same store, and a database of its own."""
    theirs = await asyncio.to_thread(KeyRing.open, DirectoryKeyStore(tmp_path / "keys"), MASTER_PASSWORD, CLOCK)
    over = repositories_over(theirs, FieldCodec(theirs), BlindIndex(theirs))
    database = await Database.open(postgres_config, over)
    yield theirs, database
    await database.close()


async def register(db, ring: KeyRing, name: str) -> bool:
    """Do what the end of a registration does with the name."""
    async with db.transaction() as repos:
        await hold_names(repos, ring)
        user = await repos.users.insert_user(
            user_id=new_id(CLOCK),
            username=name,
            opaque_record=secrets.token_bytes(192),
            opaque_setup_id="opaque-20260101-00000000",
            opaque_credential_id=secrets.token_bytes(16),
        )
    return user is not None


async def found(db, name: str) -> bool:
    async with db.connection() as repos:
        return await repos.users.find_by_username(name) is not None


async def test_everybody_is_found_under_the_new_key_alone(db, ring: KeyRing, run: Reindexing, postgres_config) -> None:
    people = [(await insert_person(db)).username for _ in range(5)]
    old = ring.primary(Purpose.INDEX)
    before = as_owner(postgres_config, "SELECT username_index FROM users ORDER BY id")
    told = []
    key_id = await run.run(lambda column, rows: told.append((column, rows)))
    assert told == [
        ("users.username", 5),
        ("users.username", 5),
        ("devices.fingerprint", 0),
        ("user_sessions.device_fingerprint", 0),
    ]
    assert ring.primary(Purpose.INDEX).id == key_id
    assert [key.state for key in ring.live(Purpose.INDEX)] == [State.ACTIVE, State.DECRYPT_ONLY]
    after = as_owner(postgres_config, "SELECT username_index FROM users ORDER BY id")
    assert not set(before) & set(after)
    ring.change(lambda stored: stored.with_key(_destroyed(stored, old.id)))
    assert all([await found(db, name) for name in people])
    assert not await register(db, ring, people[0])
    assert as_owner(postgres_config, "SELECT count(*) FROM audit_logs WHERE action = 'crypto.index.rotated'") == [(1,)]


def _destroyed(stored, key_id: str):
    key = next(key for key in stored.keys if key.id == key_id)
    return replace(key, state=State.DESTROYED, wrapped="")


async def test_who_is_moved_is_found_by_a_process_that_knows_both_keys(
    db, ring: KeyRing, run: Reindexing, elsewhere
) -> None:
    theirs, their_db = elsewhere
    name = (await insert_person(db)).username
    seen = []

    def look(column: str, rows: int) -> None:
        theirs.reload()
        seen.append(rows)

    await run.run(look)
    assert seen
    assert await found(their_db, name)


async def test_no_name_is_given_while_names_are_indexed_anew_and_after_a_crash_neither(
    db, ring: KeyRing, run: Reindexing, elsewhere
) -> None:
    theirs, their_db = elsewhere
    await insert_person(db, "alice")

    class Crash(Exception):
        pass

    def crash(column: str, rows: int) -> None:
        raise Crash

    with pytest.raises(Crash):
        await run.run(crash)
    assert ring.stored.pending(Purpose.INDEX) is not None
    with pytest.raises(NamesBusy):
        await register(db, ring, "bob")
    # A process that has not heard of it looks again before it gives a name.
    assert theirs.stored.pending(Purpose.INDEX) is None
    with pytest.raises(NamesBusy):
        await register(their_db, theirs, "alice")
    assert await found(db, "alice")
    assert await found(their_db, "alice")
    pending = ring.stored.pending(Purpose.INDEX).id
    assert await run.run() == pending
    assert await register(db, ring, "bob")
    assert not await register(their_db, theirs, "alice")
    assert not await register(their_db, theirs, "bob")


async def test_a_process_that_cannot_read_the_store_gives_no_name(
    db, ring: KeyRing, run: Reindexing, elsewhere, monkeypatch
) -> None:
    theirs, their_db = elsewhere
    await run.run()

    def away(self):
        raise KeyStoreRefused("away")

    monkeypatch.setattr(DirectoryKeyStore, "read", away)
    with pytest.raises(KeysUnavailable):
        await register(their_db, theirs, "alice")


async def test_who_is_giving_a_name_is_waited_for(db, ring: KeyRing, run: Reindexing, elsewhere) -> None:
    theirs, their_db = elsewhere
    holding, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with their_db.transaction() as repos:
            await hold_names(repos, theirs)
            holding.set()
            await leave.wait()
            assert await repos.users.insert_user(
                user_id=new_id(CLOCK),
                username="slow",
                opaque_record=secrets.token_bytes(192),
                opaque_setup_id="opaque-20260101-00000000",
                opaque_credential_id=secrets.token_bytes(16),
            )

    registration = asyncio.create_task(slow())
    await holding.wait()
    reindexing = asyncio.create_task(run.run())
    async with asyncio.timeout(10):
        while ring.stored.pending(Purpose.INDEX) is None:
            await asyncio.sleep(0.01)
    leave.set()
    await asyncio.gather(registration, reindexing)
    # Indexed under the old key by a process that did not know the new one, and yet moved.
    assert await found(db, "slow")
    assert not await register(db, ring, "slow")


async def test_racing_registrations_give_each_name_once(
    db, ring: KeyRing, run: Reindexing, elsewhere, postgres_config
) -> None:
    theirs, their_db = elsewhere
    done = asyncio.Event()
    names = [f"person-{number}" for number in range(40)]
    given: list[str] = []
    refused = 0

    async def registering(database, its_ring: KeyRing) -> None:
        nonlocal refused
        while not done.is_set():
            for name in names:
                try:
                    given.extend([name] * await register(database, its_ring, name))
                except (NamesBusy, KeysUnavailable):
                    refused += 1
                    await asyncio.sleep(0)

    racing = [asyncio.create_task(registering(*who)) for who in ((db, ring), (their_db, theirs)) * 3]
    for _ in range(3):
        await run.run()
        await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        while len(set(given)) < len(names):
            await asyncio.sleep(0.01)
    done.set()
    await asyncio.gather(*racing)
    assert sorted(given) == sorted(names)
    assert refused
    assert as_owner(postgres_config, "SELECT count(*) FROM users") == [(len(names),)]
    assert all([await found(their_db, name) for name in names])


async def test_an_index_key_stays_while_a_name_is_found_by_it_alone(
    db, ring: KeyRing, run: Reindexing, postgres_config
) -> None:
    policy = RotationPolicy(age=timedelta(days=90), operations=1_000_000)
    audit = Audit(CLOCK, BlindIndex(ring))
    retirement = Retirement(db=db, ring=ring, audit=audit, clock=CLOCK, delay=timedelta(0), policy=policy)
    people = [await insert_person(db) for _ in range(3)]
    old = ring.primary(Purpose.INDEX).id
    before = as_owner(postgres_config, "SELECT username_index FROM users WHERE id = %s", people[0].id)[0][0]
    await run.run()
    moved = as_owner(postgres_config, "SELECT username_index FROM users WHERE id = %s", people[0].id)[0][0]
    for change, count in (
        (f"username_index = '\\x{before.hex()}'", 1),  # whatever has left it under the old key
        (f"username_index = '\\x{moved.hex()}', username = 'gAAAAA=='", 1),  # under which, nobody can tell
    ):
        as_owner(postgres_config, f"UPDATE users SET {change} WHERE id = %s", people[0].id)
        with pytest.raises(OperatorError, match=rf"{old} is needed: {count} in users\.username_index"):
            await retirement.destroy(old)
    as_owner(postgres_config, "DELETE FROM users WHERE id = %s", people[0].id)
    await retirement.destroy(old)
    assert [key.state for key in ring.live(Purpose.INDEX)] == [State.ACTIVE]
    assert await found(db, people[1].username)


async def test_a_name_that_does_not_open_keeps_its_index(db, ring, run, postgres_config, caplog) -> None:
    damaged, sound = await insert_person(db), await insert_person(db)
    as_owner(postgres_config, "UPDATE users SET username = 'gAAAAA==' WHERE id = %s", damaged.id)
    await run.run()
    assert str(damaged.id) in caplog.text
    assert await found(db, sound.username)
    async with db.connection() as repos:
        assert await repos.users.find_login_record(damaged.username) is not None


async def test_many_forged_key_ids_hold_up_no_other_name(db, ring, run, postgres_config) -> None:
    sound, *damaged = [await insert_person(db) for _ in range(13)]
    for number, user in enumerate(damaged):
        as_owner(postgres_config, "UPDATE users SET username_key_id = %s WHERE id = %s", f"data-{number}", user.id)
    async with asyncio.timeout(15):
        await run.run()
    assert await found(db, sound.username)
    assert await register(db, ring, "somebody else")


async def test_a_name_is_never_looked_up_with_a_ring_that_may_be_old(db, ring, known, tmp_path) -> None:
    (tmp_path / "keys").rename(tmp_path / "away")
    ring._confirmed_at -= 31
    async with db.connection() as repos:
        with pytest.raises(KeysUnavailable):
            await repos.users.find_login_record("alice")


async def test_a_newer_ring_is_noted_before_anything_moves(db, ring, run, postgres_config) -> None:
    seen = []

    def look(column: str, rows: int) -> None:
        seen.append(as_owner(postgres_config, "SELECT generation FROM key_store_identity"))

    await run.run(look)
    assert seen[0] == [(2,)]
    async with db.transaction() as repos:
        await note_ring(repos.deployment, ring)
    assert as_owner(postgres_config, "SELECT generation FROM key_store_identity") == [(3,)]


# -- devices, which logins go on writing ---------------------------------------------------------------------

INDEXES = "SELECT fingerprint_index FROM devices UNION SELECT device_fingerprint_index FROM user_sessions"


async def login_from(database, user_id, fingerprint: str):
    """Do what the end of a login does with the device."""
    async with database.transaction() as repos:
        assert await repos.users.hold_user(user_id)
        known = await repos.devices.see_fingerprint(user_id, fingerprint)
        return known or await repos.devices.insert_device(
            device_id=new_id(CLOCK), user_id=user_id, fingerprint=fingerprint, name=None, info=None
        )


def test_every_column_with_an_index_is_moved_but_the_trails(postgres_config) -> None:
    rows = as_owner(
        postgres_config,
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE '%\\_index'",
    )
    indexed = {(str(table), str(column).removesuffix("_index")) for table, column in rows}
    assert indexed - {("audit_logs", "subject")} == {(column.table, column.column) for column in COLUMNS}


async def test_every_device_is_found_under_the_new_key_alone(db, ring: KeyRing, run: Reindexing, postgres_config):
    people = [(await insert_person(db)).id for _ in range(3)]
    devices = {(user_id, name): await insert_device(db, user_id, name) for user_id in people for name in ("a", "b")}
    for (user_id, name), device_id in devices.items():
        await insert_family(db, user_id, device_id=device_id, fingerprint=name)
    await insert_family(db, people[0])  # a login that named no device
    before = as_owner(postgres_config, INDEXES)
    old = ring.primary(Purpose.INDEX)
    await run.run()
    after = as_owner(postgres_config, INDEXES)
    assert len(after) == len(before) == 13
    assert set(before) & set(after) == {(None,)}
    ring.change(lambda stored: stored.with_key(_destroyed(stored, old.id)))
    for (user_id, name), device_id in devices.items():
        assert await login_from(db, user_id, name) == device_id


async def test_logins_that_race_with_it_find_each_device_once(
    db, ring: KeyRing, run: Reindexing, elsewhere, postgres_config
) -> None:
    theirs, their_db = elsewhere
    user_id = (await insert_person(db)).id
    done, found = asyncio.Event(), {}

    async def logging_in(database, its_ring: KeyRing) -> None:
        number = 0
        while not done.is_set():
            number += 1
            try:
                device_id = await login_from(database, user_id, name := f"print-{number % 15}")
            except KeysUnavailable:
                its_ring.reload()
                continue
            found.setdefault(name, set()).add(device_id)

    # A run waits until every process has seen the key: a second is enough for these two.
    patient = Reindexing(db=db, ring=ring, audit=Audit(CLOCK, BlindIndex(ring)), clock=CLOCK, settle_seconds=1)
    racing = [asyncio.create_task(logging_in(*who)) for who in ((db, ring), (their_db, theirs)) * 2]

    async def looking() -> None:
        while not done.is_set():
            await asyncio.to_thread(theirs.reload)
            await asyncio.sleep(0.05)

    racing.append(asyncio.create_task(looking()))
    for _ in range(2):
        await patient.run()
    done.set()
    await asyncio.gather(*racing)
    assert len(found) == 15
    assert [ids for ids in found.values() if len(ids) > 1] == []
    assert as_owner(postgres_config, "SELECT count(*) FROM devices") == [(15,)]
    keys = [key.id for key in ring.live(Purpose.INDEX)]
    active = ring.primary(Purpose.INDEX)
    for key_id in set(keys) - {active.id}:
        ring.change(lambda stored, key_id=key_id: stored.with_key(_destroyed(stored, key_id)))
    # What was written under a key before has been moved as well.
    assert {await login_from(db, user_id, name) for name in found} == {ids.pop() for ids in found.values()}


async def test_a_login_that_holds_a_row_for_long_is_waited_for(db, ring, run, postgres_config) -> None:
    user_id = (await insert_person(db)).id
    device_id = await insert_device(db, user_id)
    with connect_as_owner(postgres_config) as holder:
        with holder.transaction():
            holder.execute("SELECT FROM devices WHERE id = %s FOR UPDATE", [device_id])
            running = asyncio.create_task(run.run())
            await asyncio.sleep(0.8)  # longer than a lock is waited for
            assert not running.done()
        await running
    assert await login_from(db, user_id, "fingerprint") == device_id
