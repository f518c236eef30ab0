"""What stands in the database when the service has ended: rows, their sealed values, the audit trail."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg

from cypher.app import Resources, resources
from cypher.auth.trail import Reader
from cypher.clock import SystemClock
from cypher.config import load
from cypher.errors import CypherError
from cypher.maintenance.checkpoints import read_checkpoints
from cypher.maintenance.sealing import Sealer
from cypher.parts import trail_proof
from cypher.repositories.sealed_columns import COLUMNS
from tests.faults.books import Books, Invariant
from tests.faults.world import World

SEAL_SECONDS = 30
#: Each finds rows that must not be.
WRONG = {
    Invariant.ONCE: {
        "refresh tokens with two successors": "SELECT FROM refresh_tokens GROUP BY parent_hash HAVING count(*) > 1 AND "
        "parent_hash IS NOT NULL",
        "used refresh tokens without a successor": "SELECT FROM refresh_tokens t WHERE consumed_at IS NOT NULL AND "
        "NOT EXISTS (SELECT FROM refresh_tokens c WHERE c.parent_hash = t.token_hash)",
    },
    Invariant.TRAIL: {
        "people without the one entry of their registration": "SELECT FROM users u WHERE 1 <> (SELECT count(*) FROM "
        "audit_logs a WHERE a.user_id = u.id AND a.action = 'auth.registration.completed')",
        "registrations in the trail without a person": "SELECT FROM audit_logs a WHERE action = "
        "'auth.registration.completed' AND NOT EXISTS (SELECT FROM users u WHERE u.id = a.user_id)",
        "sessions without the one entry of their beginning": "SELECT FROM user_sessions s WHERE 1 <> (SELECT count(*) "
        "FROM audit_logs a WHERE a.session_id = s.session_id AND a.action = 'session.session.created')",
        "sessions whose end is not in the trail once": "SELECT FROM user_sessions s WHERE (revoked_at IS NOT NULL)::int"
        " <> (SELECT count(*) FROM audit_logs a WHERE a.session_id = s.session_id AND a.action = "
        "'session.session.ended')",
        "sessions whose refreshes are not in the trail": "SELECT FROM user_sessions s WHERE (SELECT count(*) FROM "
        "refresh_tokens t WHERE t.session_id = s.session_id AND parent_hash IS NOT NULL) <> (SELECT count(*) FROM "
        "audit_logs a WHERE a.session_id = s.session_id AND a.action = 'token.refresh.rotated')",
        "used recovery codes that are not in the trail": "SELECT FROM recovery_codes c GROUP BY user_id HAVING "
        "count(used_at) <> (SELECT count(*) FROM audit_logs a WHERE a.user_id = c.user_id AND "
        "a.action = 'mfa.recovery_codes.used')",
    },
}


async def look_at_records(world: World, books: Books) -> None:
    """Look; what is wrong is in the books. The service must have ended."""
    with world.superuser() as connection:
        for invariant, what in _wrong_rows(connection, books):
            books.breaks(invariant, what)
    async with resources(load(world.environment, None), SystemClock()) as open_:
        await _require_opening(open_, books)
        await _require_trail(open_, books, world.checkpoints)


def _wrong_rows(connection: psycopg.Connection, books: Books) -> Iterator[tuple[Invariant, str]]:
    for invariant, queries in WRONG.items():
        for name, query in queries.items():
            if found := len(connection.execute(query.encode()).fetchall()):
                yield invariant, f"{found} {name}"
    there = {str(row[0]) for row in connection.execute("SELECT id FROM users").fetchall()}
    if lost := books.registered.keys() - there:
        yield Invariant.WRITTEN, f"{len(lost)} people who were registered are not there"
    rows = connection.execute("SELECT session_id FROM user_sessions WHERE revoked_at IS NULL").fetchall()
    alive = {str(row[0]) for row in rows}
    if lost := {login.session_id for login in books.living} - alive:
        yield Invariant.WRITTEN, f"{len(lost)} sessions are not there"
    if back := alive & {login.session_id for login in books.ended}:
        yield Invariant.ENDED, f"{len(back)} sessions that were ended are not"
    used = connection.execute("SELECT count(*) FROM recovery_codes WHERE used_at IS NOT NULL").fetchone()
    assert used
    most = len(books.codes_used) + len(books.codes_in_doubt)
    if not len(books.codes_used) <= used[0] <= most:
        yield Invariant.ONCE, f"{used[0]} recovery codes are used, and {len(books.codes_used)} to {most} were"


async def _require_opening(open_: Resources, books: Books) -> None:
    opened = 0
    async with open_.db.connection() as repos:
        for column in COLUMNS:
            for each in await repos.sealed_columns.list_stale(column, "none", column.before_all, 100_000):
                try:
                    await open_.codec.open(each.sealed, each.cell)
                    opened += 1
                except CypherError as exc:
                    books.breaks(Invariant.OPENS, f"{column}: {exc.code}")
    if opened < len(books.registered):
        books.breaks(Invariant.OPENS, f"only {opened} values are there")


async def _require_trail(open_: Resources, books: Books, checkpoints: Path) -> None:
    sealer = Sealer(db=open_.upkeep, ring=open_.ring, clock=open_.clock)
    async with asyncio.timeout(SEAL_SECONDS):
        lag = 1
        while lag:
            await sealer.seal()
            async with open_.db.connection() as repos:
                lag = (await repos.audit_seals.get_lag()).entries
    with checkpoints.open("rb") as lines:
        proven = await trail_proof(open_).verify(Reader(), checkpoints=read_checkpoints(lines))
    if proven.finding:
        books.breaks(Invariant.TRAIL, proven.finding.sentence)
    if proven.entries < len(books.registered):
        books.breaks(Invariant.TRAIL, f"only {proven.entries} entries are there")
