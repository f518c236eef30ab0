"""What was written is sealed within seconds, all of it and once, whoever else writes or seals."""

import asyncio
import logging

import psycopg
import pytest

from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.errors import TrailBroken
from cypher.maintenance.sealing import Sealer
from tests.factories import CLOCK, connect_as_owner, connect_as_service


async def test_everything_is_sealed_in_the_order_of_its_transactions(trail) -> None:
    await trail.write_sealed(3, 1, 5)
    seals = trail.rows("SELECT seal_no, count FROM audit_seals ORDER BY seal_no")
    assert [number for number, _ in seals] == list(range(1, len(seals) + 1))
    assert sum(count for _, count in seals) == 9
    assert trail.sealed_ids() == [str(row[0]) for row in trail.rows("SELECT id FROM audit_logs ORDER BY xid")]
    done = await trail.verify()
    assert (done.finding, done.entries, done.unsealed) == (None, 9, 0)


async def test_nothing_to_seal_makes_no_seal(trail) -> None:
    assert await trail.sealer.seal() == 0
    assert trail.rows("SELECT count(*) FROM audit_seals") == [(0,)]


async def test_noisy_and_lasting_entries_are_in_one_chain(trail) -> None:
    await trail.write(2)
    await trail.write(2, event=Event.LOGIN_FAILED)
    await trail.seal()
    assert trail.rows("SELECT retention, count(*) FROM audit_leaves GROUP BY retention ORDER BY 1") == [
        ("long", 2),
        ("short", 2),
    ]
    assert (await trail.verify()).finding is None


async def test_an_entry_that_commits_late_is_not_skipped(trail, db) -> None:
    await trail.write(1)
    await trail.seal()
    async with db.transaction() as repos:
        await trail.audit.record(repos, Happening(event=Event.SESSION_ENDED), None)  # first, and not committed
        await trail.write(3)  # later, and committed
        assert await trail.sealer.seal() == 0
        assert await trail.lag() == 3
        done = await trail.verify()
        assert (done.finding, done.unsealed) == (None, 3)
    await trail.seal()
    assert trail.rows("SELECT count(*) FROM audit_leaves") == [(5,)]
    first = trail.rows("SELECT action FROM audit_logs a JOIN audit_leaves l ON l.entry_id = a.id AND l.seal_no = 2")
    assert first[0] == ("session.session.ended",)


async def test_a_long_transaction_shows_as_a_lag(trail, postgres_config) -> None:
    with connect_as_owner(postgres_config) as connection, connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
        await trail.write(2)
        await trail.sealer.seal()
        async with trail.db.connection() as repos:
            lag = await repos.audit_seals.get_lag()
        assert lag.entries == 2
        assert lag.oldest is not None
    await trail.seal()
    assert await trail.lag() == 0


async def test_sealers_side_by_side_make_one_chain(trail, db, ring) -> None:
    sealers = [trail.sealer, *(Sealer(db=db, ring=ring, clock=CLOCK) for _ in range(3))]
    for _ in range(10):
        await trail.write(2)
        await asyncio.gather(*(sealer.seal() for sealer in sealers))
    await trail.seal()
    done = await trail.verify()
    assert (done.finding, done.entries) == (None, 20)


async def test_a_backlog_is_sealed_in_pieces(trail, monkeypatch) -> None:
    monkeypatch.setattr("cypher.maintenance.sealing.MOST", 4)
    await trail.write(9)
    async with trail.db.transaction() as repos:  # what one transaction wrote stays together, however much it is
        await trail.audit.record_all(repos, [Happening(event=Event.SESSION_CREATED)] * 7, None)
    await trail.seal()
    counts = [count for (count,) in trail.rows("SELECT count FROM audit_seals ORDER BY seal_no")]
    assert sum(counts) == 16
    assert max(counts) <= 4 + 7
    assert (await trail.verify()).finding is None


async def test_a_trail_on_a_server_that_counts_transactions_anew_goes_on(trail, ring) -> None:
    await trail.write_sealed(3)
    await trail.write(2)
    # As a dump brings it to a new server, where such transactions are far in the future.
    later = "(through_xid::text::bigint + 1000000000)::text::xid8"
    trail.attack(
        f"UPDATE audit_logs SET xid = {later.replace('through_xid', 'xid')}",
        f"UPDATE audit_seals SET through_xid = {later}",
    )
    trail.sealer = Sealer(db=trail.db, ring=ring, clock=CLOCK)
    for sealed in (5, 7, 9):
        async with asyncio.timeout(30):
            while trail.rows("SELECT count(*) FROM audit_leaves") != [(sealed,)]:
                await trail.sealer.seal()
                await asyncio.sleep(0.05)
        await trail.write(2)
    assert trail.rows(
        "SELECT count(*) FROM audit_logs a WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE l.entry_id = a.id)"
    ) == [(2,)]
    assert (await trail.verify()).finding is not None  # of the seals that were changed here, and are no others


async def test_over_a_chain_that_was_cut_no_new_one_grows(trail, caplog) -> None:
    await trail.write_sealed(2, 2)
    trail.attack("DELETE FROM audit_leaves WHERE seal_no = 2", "DELETE FROM audit_seals WHERE seal_no = 2")
    await trail.write(1)
    with caplog.at_level(logging.CRITICAL, logger="cypher.audit"):
        for _ in range(3):
            with pytest.raises(TrailBroken):
                await trail.sealer.seal()
    assert len(caplog.records) == 1
    assert "seal 2" in caplog.text
    assert trail.rows("SELECT count(*) FROM audit_seals") == [(1,)]


async def test_the_services_role_can_add_seals_and_change_none(trail, postgres_config) -> None:
    await trail.write_sealed(1)
    with connect_as_service(postgres_config) as connection:
        for statement in (
            "UPDATE audit_seals SET count = 0",
            "DELETE FROM audit_seals",
            "UPDATE audit_leaves SET position = 9",
            "DELETE FROM audit_leaves",
            "TRUNCATE audit_leaves",
            "DROP TABLE audit_leaves",
            "UPDATE audit_retention SET days = 30",
            "INSERT INTO audit_retention VALUES ('x', 30)",
            "DROP FUNCTION drop_expired_audit_partition()",
            "DROP TABLE audit_logs_long",
            "ALTER TABLE audit_logs DETACH PARTITION audit_logs_short",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
