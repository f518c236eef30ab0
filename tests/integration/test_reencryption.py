"""Every sealed value is moved to the active key, and none is lost on the way."""

import asyncio
import logging
from datetime import timedelta

import pytest

from cypher.auth.audit import Audit
from cypher.clock import SystemClock
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import Cell, FieldCodec
from cypher.crypto.keyring import Algorithm, KeyRing, Purpose
from cypher.crypto.rotation import rotate
from cypher.maintenance import reencryption
from cypher.maintenance.background import SETTLED, BackgroundReencryption
from cypher.maintenance.reencryption import BATCH, Reencryption
from cypher.repositories.sealed_columns import COLUMNS, SealedColumn, SealedColumnsRepository
from tests.factories import METADATA, as_owner, hash_of, insert_device, insert_family, insert_person, new_token

CLOCK = SystemClock()
#: The trail is append-only; its keys go with its partitions.
EXEMPT = {("audit_logs", "details"), ("audit_logs", "entry_hash"), ("audit_seals", "signing")}


class Later(SystemClock):
    """A clock that is ahead of the machine's."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self):
        return super().now() + self._ahead


@pytest.fixture
def make_run(db, ring: KeyRing, codec: FieldCodec):
    return lambda **more: Reencryption(db=db, ring=ring, codec=codec, clock=CLOCK, **more)


async def rotated(ring: KeyRing, algorithm: Algorithm | None = None) -> str:
    return (await asyncio.to_thread(rotate, ring, Purpose.DATA, algorithm=algorithm)).id


async def rows_by_key(db) -> dict[str, int]:
    async with db.connection() as repos:
        counts = await repos.sealed_columns.count_rows()
    return {key_id: sum(places.values()) for key_id, places in counts.items() if key_id.startswith("data-")}


async def rotated_token(repos, token: str) -> str:
    successor = new_token()
    await repos.refresh_tokens.rotate(
        old_hash=hash_of(token),
        new_hash=hash_of(successor),
        new_token=successor,
        grace=timedelta(hours=1),
        idle=timedelta(hours=1),
        metadata=METADATA,
    )
    return successor


async def insert_everything(db, people: int = 1) -> list:
    """Make people of whom every sealed column holds something."""
    made = []
    for _ in range(people):
        user = await insert_person(db)
        async with db.connection() as repos:
            await repos.audit_subjects.make_secrets({user.id})
        device_id = await insert_device(db, user.id)
        family = await insert_family(db, user.id, device_id=device_id, fingerprint="fingerprint")
        async with db.transaction() as repos:
            successor = await rotated_token(repos, family.token)
            assert await repos.factors.set_pending_secret(user.id, b"12345678901234567890")
        made.append((user, family, successor))
    return made


async def assert_all_open(db, codec: FieldCodec, key_id: str) -> int:
    """Open every value of every column; all must be under one key."""
    opened = 0
    async with db.connection() as repos:
        for column in COLUMNS:
            cells = await repos.sealed_columns.list_stale(column, "no such key", column.before_all, 10_000)
            assert cells, f"nothing in {column}"
            for each in cells:
                assert each.sealed.key_id == key_id
                await codec.open(each.sealed, each.cell)
                opened += 1
    return opened


async def test_the_sweep_covers_every_column_that_names_a_key(postgres_config) -> None:
    rows = as_owner(
        postgres_config,
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE '%\\_key\\_id'",
    )
    sealed = {(str(table), str(column).removesuffix("_key_id")) for table, column in rows}
    assert sealed - EXEMPT == {(column.table, column.column) for column in COLUMNS}


@pytest.mark.parametrize("algorithm", [None, Algorithm.AES_256_GCM])
async def test_everything_moves_to_the_new_key_and_back_to_the_old_cipher(
    db, ring: KeyRing, codec: FieldCodec, postgres_config, make_run, algorithm: Algorithm | None
) -> None:
    [(user, family, successor)] = await insert_everything(db)
    for cipher in (algorithm, Algorithm.FERNET):
        key_id = await rotated(ring, cipher)
        total = await make_run().remaining()
        done = await make_run().run()
        # A refresh token has its metadata, and the first of the two a successor.
        assert (done.moved, done.unopened) == (total, 0)
        assert await assert_all_open(db, codec, key_id) == total == len(COLUMNS) + 1
        assert await make_run().remaining() == 0
    async with db.connection() as repos:
        assert (await repos.users.get_user(user.id)).username == user.username
        assert (await repos.sessions.get_session(family.session_id)).username == user.username
        again = await repos.refresh_tokens.rotate(
            old_hash=hash_of(family.token),
            new_hash=hash_of("x"),
            new_token="x",
            grace=timedelta(hours=1),
            idle=timedelta(hours=1),
            metadata=METADATA,
        )
    assert again.successor == successor


async def test_more_than_a_batch_moves_and_progress_is_told(db, ring, codec, make_run) -> None:
    for _ in range(3):
        await insert_person(db)
    people = BATCH + 1
    token = (await insert_family(db)).token
    async with db.transaction() as repos:
        for _ in range(people):
            token = await rotated_token(repos, token)
    await rotated(ring)
    told = []
    done = await make_run().run(told.append)
    moved = [progress.moved for progress in told]
    assert moved == sorted(moved)
    assert done.moved == moved[-1] > people
    assert set(await rows_by_key(db)) == {ring.primary(Purpose.DATA).id}


async def test_batches_are_small_where_the_server_is_slow(
    db, ring, codec, postgres_config, make_run, monkeypatch
) -> None:
    people = [await insert_person(db) for _ in range(64)]
    as_owner(
        postgres_config,
        "CREATE FUNCTION dawdle() RETURNS TRIGGER LANGUAGE plpgsql"
        " AS $$ BEGIN PERFORM pg_sleep(0.004); RETURN NEW; END $$",
    )
    as_owner(postgres_config, "CREATE TRIGGER dawdle BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION dawdle()")
    exchange, sizes = SealedColumnsRepository.exchange, []

    async def noted(self, column, key_id, old, new) -> int:
        sizes.append(len(old))
        return await exchange(self, column, key_id, old, new)

    monkeypatch.setattr(SealedColumnsRepository, "exchange", noted)
    monkeypatch.setattr(reencryption, "BATCH", 32)
    await rotated(ring)
    assert (await make_run().run()).moved == 2 * len(people)
    assert sizes[:3] == [32, 16, 8]
    assert max(sizes[2:]) <= 16


@pytest.mark.parametrize(
    ("size", "locked_seconds", "following"),
    [(500, 0.01, 500), (500, 0.06, 250), (250, 0.03, 250), (250, 0.01, 500), (3, 1.0, 1), (1, 1.0, 1), (1, 0.001, 2)],
)
def test_a_batch_is_as_large_as_the_one_before_allows(size: int, locked_seconds: float, following: int) -> None:
    assert reencryption.next_size(size, locked_seconds) == following


async def test_a_value_written_meanwhile_stays(
    db, ring: KeyRing, codec: FieldCodec, postgres_config, make_run, monkeypatch
) -> None:
    user = await insert_person(db)
    cell = Cell("users", "opaque_record", user.id)
    old_key = ring.primary(Purpose.DATA)
    # The attack on a sweep that compares key ids: a newer value under the very same old key.
    newer = codec.reseal(await codec.seal(b"new record", cell), cell, old_key)
    await rotated(ring)
    reseal = Reencryption._reseal

    async def meanwhile(self, cells, key):
        if cells and cells[0].cell.column == "opaque_record":
            as_owner(postgres_config, "UPDATE users SET opaque_record = %s", newer.ciphertext)
        return await reseal(self, cells, key)

    monkeypatch.setattr(Reencryption, "_reseal", meanwhile)
    await make_run().run()
    async with db.connection() as repos:
        record = (await repos.users.find_login_record(user.username)).opaque_record
    assert record == b"new record"


@pytest.mark.parametrize("column", COLUMNS, ids=str)
async def test_no_column_loses_a_value_that_was_written_after_it_was_read(
    db, ring, codec, postgres_config, column: SealedColumn
) -> None:
    await insert_everything(db)
    key_id = await rotated(ring)
    async with db.transaction() as repos:
        old = await repos.sealed_columns.list_stale(column, key_id, column.before_all, 10)
    new = [codec.reseal(each.sealed, each.cell, ring.primary(Purpose.DATA)) for each in old]
    written = f"UPDATE {column.table} SET {column.column} = 'written' WHERE {column.column} = %s"
    as_owner(postgres_config, written, old[0].sealed.ciphertext)
    async with db.transaction() as repos:
        assert await repos.sealed_columns.exchange(column, key_id, old, new) == len(old) - 1
    kept = f"SELECT {column.column}_key_id FROM {column.table} WHERE {column.column} = 'written'"
    assert as_owner(postgres_config, kept) == [(old[0].sealed.key_id,)]


async def test_runs_side_by_side_move_everything_once(db, ring, codec, postgres_config, make_run) -> None:
    await insert_everything(db, people=20)
    key_id = await rotated(ring)
    total = await make_run().remaining()
    done = await asyncio.gather(*(make_run().run() for _ in range(4)))
    assert sum(each.moved for each in done) == total
    await assert_all_open(db, codec, key_id)


async def test_an_interrupted_run_goes_on(db, ring, codec, postgres_config, make_run) -> None:
    await insert_everything(db, people=3)
    key_id = await rotated(ring)
    total = await make_run().remaining()

    class Stopped(Exception):
        pass

    def stop(progress) -> None:
        if progress.column == "user_sessions.session_data":
            raise Stopped

    run = make_run()
    with pytest.raises(Stopped):
        await run.run(stop)
    left = await make_run().remaining()
    assert 0 < left < total
    assert (await make_run().run()).moved == left
    await assert_all_open(db, codec, key_id)


async def test_a_rotation_in_the_middle_takes_the_rest_along(db, ring, codec, postgres_config, make_run) -> None:
    await insert_everything(db, people=2)
    await rotated(ring)
    turned = []

    def turn(progress) -> None:
        if progress.column == "user_sessions.session_data" and not turned:
            turned.append(rotate(ring, Purpose.DATA).id)

    await make_run().run(turn)
    await assert_all_open(db, codec, turned[0])


async def test_what_does_not_open_stays_and_is_reported(
    db, ring, codec, postgres_config, make_run, caplog: pytest.LogCaptureFixture
) -> None:
    [(damaged, *_), (sound, *_)] = await insert_everything(db, people=2)
    before = ring.primary(Purpose.DATA).id
    as_owner(postgres_config, "UPDATE users SET opaque_record = 'gAAAAA==' WHERE id = %s", damaged.id)
    as_owner(postgres_config, "UPDATE users SET totp_secret_key_id = 'data-x' WHERE id = %s", damaged.id)
    await rotated(ring)
    with caplog.at_level(logging.ERROR):
        done = await make_run().run()
    assert done.unopened == 2
    assert f"users.opaque_record {damaged.id}" in caplog.text
    assert "data-x" in caplog.text
    assert (await rows_by_key(db))[before] == 1
    async with db.connection() as repos:
        assert (await repos.users.find_login_record(sound.username)) is not None


async def test_many_forged_key_ids_hold_up_nobody_else(db, ring, codec, postgres_config, make_run) -> None:
    sound, *damaged = [await insert_person(db) for _ in range(13)]
    for number, user in enumerate(damaged):
        as_owner(postgres_config, "UPDATE users SET username_key_id = %s WHERE id = %s", f"data-{number}", user.id)
    key_id = await rotated(ring)
    # One look at the store, not one a second for each: PostgreSQL ends a transaction that is idle for five.
    async with asyncio.timeout(15):
        done = await make_run().run()
    assert (done.moved, done.unopened) == (2 + len(damaged), len(damaged))
    assert (await rows_by_key(db))[key_id] == done.moved
    async with db.connection() as repos:
        assert (await repos.users.get_user(sound.id)).username == sound.username


async def test_a_run_keeps_its_rate(db, ring, codec, postgres_config, make_run, monkeypatch) -> None:
    await insert_everything(db, people=10)
    await rotated(ring)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("cypher.maintenance.reencryption.asyncio.sleep", sleep)
    done = await make_run(rate=10).run()
    assert 0.5 * done.moved / 10 < sum(slept) <= done.moved / 10


async def test_moving_is_not_counted_as_use(db, ring, leases, postgres_config) -> None:
    codec = FieldCodec(ring, leases)
    await insert_person(db)
    key_id = await rotated(ring)
    assert (await Reencryption(db=db, ring=ring, codec=codec, clock=CLOCK).run()).moved == 2
    async with db.connection() as repos:
        assert (await repos.deployment.list_operations())[key_id] == 0


@pytest.fixture
def make_background(db, ring, make_run):
    def make(ahead: timedelta = SETTLED + timedelta(seconds=1), run=None) -> BackgroundReencryption:
        audit = Audit(CLOCK, BlindIndex(ring))
        return BackgroundReencryption(db=db, ring=ring, audit=audit, clock=Later(ahead), make=run or make_run)

    return make


async def test_the_background_sweeps_once_for_a_new_key(db, ring, codec, postgres_config, make_background) -> None:
    await insert_everything(db)
    background = make_background()
    assert await background.sweep() is None  # one key only
    await rotated(ring)
    assert await make_background(timedelta(0)).sweep() is None  # others may still seal under the one before
    assert (await background.sweep()).moved == 13
    assert await background.sweep() is None
    key_id = await rotated(ring)
    assert (await background.sweep()).moved == 13
    await assert_all_open(db, codec, key_id)
    recorded = "SELECT count(*) FROM audit_logs WHERE action = 'crypto.reencryption.completed'"
    assert as_owner(postgres_config, recorded) == [(2,)]


async def test_one_instance_at_a_time_sweeps_in_the_background(db, ring, codec, make_run, make_background) -> None:
    await insert_person(db)
    await rotated(ring)
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Reencryption):
        async def run(self, *given):
            entered.set()
            await leave.wait()
            return await super().run(*given)

    slow = make_background(run=lambda: Slow(db=db, ring=ring, codec=codec, clock=CLOCK))
    first = asyncio.create_task(slow.sweep())
    await entered.wait()
    other = make_background()
    assert await other.sweep() is None
    leave.set()
    assert (await first).moved == 2
    # It was not its turn then; it looks for itself later.
    assert (await other.sweep()).moved == 0
