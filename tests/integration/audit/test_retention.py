"""Old months go as a whole, and the key of their details with them; what proves them stays."""

import asyncio
from datetime import UTC, datetime, timedelta

import opaque_ke_py
import psycopg
import pytest

from cypher.auth.audit import Audit
from cypher.auth.events import Event
from cypher.clock import SystemClock, month_after, month_of
from cypher.crypto.blind_index import BlindIndex
from cypher.crypto.codec import FieldCodec
from cypher.crypto.keyring import KeyRing, Purpose, State
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.monthly import keep_months
from cypher.errors import OperatorError, PostgresUnavailable
from cypher.maintenance.retention import Retention
from cypher.maintenance.sealing import Sealer
from cypher.migrate import migrate
from cypher.postgres import Database
from cypher.repositories import repositories_over
from tests.conftest import MASTER_PASSWORD
from tests.factories import CLOCK, as_owner, connect_as_service
from tests.integration.audit.conftest import Trail

NOW = datetime.now(UTC)
#: A month that is over for as long as noisy events are kept, and one that is over for as long as anything is.
OLD = month_of(NOW - timedelta(days=62)) + timedelta(days=5)
ANCIENT = month_of(NOW - timedelta(days=435)) + timedelta(days=5)


class PastClock(SystemClock):
    """A clock that a test sets."""

    time = ANCIENT

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def past() -> PastClock:
    return PastClock()


@pytest.fixture
async def trail(postgres_config, tmp_path, past):
    """A trail whose service has been there for long: with partitions and keys of its months."""
    setup = opaque_ke_py.server_setup().to_bytes()
    store = DirectoryKeyStore(tmp_path / "old-keys")
    ring = KeyRing.create(store, MASTER_PASSWORD, past, opaque_setup=setup, rounds=1000)
    for moment in (ANCIENT, OLD):
        for retention in ("long", "short"):
            month = month_of(moment)
            as_owner(
                postgres_config,
                f"CREATE TABLE audit_logs_{retention}_{month:%Y_%m} PARTITION OF audit_logs_{retention}"
                f" FOR VALUES FROM ('{month}') TO ('{month_after(month)}')",
            )
    index = BlindIndex(ring)
    db = await Database.open(postgres_config, repositories_over(ring, FieldCodec(ring), index))
    yield Trail(db, ring, postgres_config, Audit(past, index), Sealer(db=db, ring=ring, clock=CLOCK))
    await db.close()


async def write_at(trail, past, moment: datetime) -> None:
    """Write two lasting entries and three noisy ones, as of a moment."""
    past.time = moment
    await asyncio.to_thread(keep_months, trail.ring, moment)
    await trail.write(2)
    await trail.write(3, event=Event.LOGIN_FAILED)


async def write_everywhere(trail, past) -> None:
    for moment in (ANCIENT, OLD, NOW):
        await write_at(trail, past, moment)


def retention(trail) -> Retention:
    return Retention(db=trail.db, ring=trail.ring, audit=Audit(CLOCK, trail.audit._index), clock=CLOCK)


def months(trail) -> set[str]:
    rows = trail.rows("SELECT relname FROM pg_class WHERE relname ~ '^audit_logs_(long|short)_[0-9_]{7}$'")
    return {str(name).removeprefix("audit_logs_") for (name,) in rows}


async def test_each_class_goes_when_it_is_over_and_the_trail_still_holds(trail, past) -> None:
    await write_everywhere(trail, past)
    await trail.seal()
    before = months(trail)
    dropped = await retention(trail).keep()
    gone = {f"long_{ANCIENT:%Y_%m}", f"short_{ANCIENT:%Y_%m}", f"short_{OLD:%Y_%m}"}
    assert before - months(trail) == gone
    assert {(f"{each.retention}_{each.month}", each.entries) for each in dropped} == {
        (f"long_{ANCIENT:%Y_%m}", 2),
        (f"short_{ANCIENT:%Y_%m}", 3),
        (f"short_{OLD:%Y_%m}", 3),
    }
    done = await trail.verify()
    assert done.finding is None
    assert [(each.retention, each.month, each.entries) for each in done.removed] == [
        ("long", f"{ANCIENT:%Y_%m}", 2),
        ("short", f"{ANCIENT:%Y_%m}", 3),
        ("short", f"{OLD:%Y_%m}", 3),
    ]
    assert trail.rows("SELECT count(*) FROM audit_leaves") == [(15,)]
    assert trail.rows("SELECT count(*) FROM audit_logs WHERE action = 'audit.month.dropped'") == [(3,)]
    assert await retention(trail).keep() == []


async def test_a_months_key_is_destroyed_with_the_last_that_it_opened(trail, past) -> None:
    await write_everywhere(trail, past)
    await trail.seal()
    sealed_with = {
        str(month): str(key)
        for month, key in trail.rows(
            "SELECT to_char(occurred_at, 'YYYY_MM'), max(details_key_id) FROM audit_logs GROUP BY 1"
        )
    }
    assert len(set(sealed_with.values())) == 3
    await retention(trail).keep()
    states = {key.id: key.state for key in trail.ring.stored.keys if key.purpose is Purpose.AUDIT_DATA}
    assert states[sealed_with[f"{ANCIENT:%Y_%m}"]] is State.DESTROYED
    assert states[sealed_with[f"{OLD:%Y_%m}"]] is State.DECRYPT_ONLY  # lasting entries of that month are there
    assert states[sealed_with[f"{NOW:%Y_%m}"]] is State.ACTIVE
    assert trail.rows("SELECT count(*) FROM audit_logs WHERE action = 'crypto.key.destroyed'") == [(1,)]


async def test_what_is_not_sealed_stays(trail, past) -> None:
    await write_at(trail, past, OLD)
    before = months(trail)
    assert [each.month for each in await retention(trail).keep()] == [f"{ANCIENT:%Y_%m}"] * 2  # which are empty
    assert f"short_{OLD:%Y_%m}" in months(trail) <= before
    await trail.seal()
    assert [each.entries for each in await retention(trail).keep()] == [3]


async def test_a_leaf_of_another_hash_does_not_count_as_sealed(trail, past) -> None:
    await write_at(trail, past, OLD)
    await trail.seal()
    trail.attack("UPDATE audit_leaves SET entry_hash = sha256('x') WHERE retention = 'short'")
    await retention(trail).keep()
    assert f"short_{OLD:%Y_%m}" in months(trail)


async def test_deleting_one_entry_of_a_month_that_is_over_is_still_found(trail, past) -> None:
    await write_everywhere(trail, past)
    await trail.seal()
    (deleted,) = trail.rows(f"SELECT id FROM audit_logs_short_{OLD:%Y_%m} ORDER BY id LIMIT 1")
    trail.attack(f"DELETE FROM audit_logs WHERE id = '{deleted[0]}'")
    finding = (await trail.verify()).finding
    assert (finding.attack, finding.entry_id) == ("deleted", deleted[0])


async def test_instances_that_do_it_at_once_drop_each_month_once(trail, past) -> None:
    await write_everywhere(trail, past)
    await trail.seal()
    dropped = await asyncio.gather(*(retention(trail).keep() for _ in range(3)))
    dropped.append(await retention(trail).keep())
    every = [(each.retention, each.month) for months in dropped for each in months]
    assert len(every) == len(set(every)) == 3
    assert trail.rows("SELECT count(*) FROM audit_logs WHERE action = 'audit.month.dropped'") == [(3,)]


async def test_how_long_is_the_owners_to_say_and_comes_with_the_migration(trail, past) -> None:
    async with trail.db.connection() as repos:
        assert await repos.audit.get_retention_days() == 400
        migrate(trail.config, retention_days=30)
        assert await repos.audit.get_retention_days() == 30
    await write_at(trail, past, OLD)
    await trail.seal()
    assert f"long_{OLD:%Y_%m}" in {f"{each.retention}_{each.month}" for each in await retention(trail).keep()}
    with pytest.raises(OperatorError, match="CheckViolation"):
        migrate(trail.config, retention_days=29)


async def test_the_services_role_may_only_ask_for_it(trail, past, postgres_config) -> None:
    await write_at(trail, past, OLD)
    await trail.seal()
    async with trail.db.connection() as repos:
        dropped = []
        while month := await repos.audit.drop_expired_partition():
            dropped.append((month.retention, month.month))
    assert ("long", f"{OLD:%Y_%m}") not in dropped
    assert ("short", f"{OLD:%Y_%m}") in dropped
    with connect_as_service(postgres_config) as connection:
        for statement in (
            f"DROP TABLE audit_logs_long_{OLD:%Y_%m}",
            f"DELETE FROM audit_logs_long_{OLD:%Y_%m}",
            f"SELECT * FROM audit_logs_long_{OLD:%Y_%m}",
            f"ALTER TABLE audit_logs_long DETACH PARTITION audit_logs_long_{OLD:%Y_%m}",
            "UPDATE audit_retention SET days = 30",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        # What stands in front of the real table for the caller, the function does not see.
        connection.execute("CREATE TEMP TABLE audit_retention (retention text, days int)")
        connection.execute("INSERT INTO audit_retention VALUES ('long', 0)")
        assert connection.execute("SELECT * FROM drop_expired_audit_partition()").fetchall() == []


async def test_writers_wait_for_a_drop_no_longer_than_its_lock_may_take(trail, past) -> None:
    await write_everywhere(trail, past)
    await trail.seal()
    async with trail.db.transaction() as repos:
        await repos.trail.list_months()
        await repos.audit.uses_key("x")  # reads the trail, and holds its lock
        began = asyncio.get_running_loop().time()
        with pytest.raises(PostgresUnavailable):
            await retention(trail).keep()
        assert asyncio.get_running_loop().time() - began < 2
    await retention(trail).keep()
