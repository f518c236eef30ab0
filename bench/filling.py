"""Fills a database with copies of one real person, as fast as PostgreSQL makes rows.

Ids, indexes and hashes are drawn anew. The sealed values are the real person's: as long as anybody's, but in these rows
they do not open, and nobody opens them.
"""

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from bench.people import Person
from bench.servers import connected
from cypher.config import PostgresConfig

Connection = psycopg.Connection[tuple[object, ...]]

#: By table: what differs from the original, its key, and where the copies come from.
DRAWN = {
    "users": {"id": "gen_random_uuid()", "username_index": "uuid_send(gen_random_uuid())"},
    "user_sessions": {"session_id": "gen_random_uuid()", "user_id": "lonely.id"},
    "refresh_tokens": {
        "token_hash": "sha256(uuid_send(gen_random_uuid()))",
        "session_id": "lonely.session_id",
        "user_id": "lonely.user_id",
    },
}
LONELY = {
    "users": "generate_series(1, {count})",
    "user_sessions": "(SELECT id FROM users WHERE id NOT IN (SELECT user_id FROM user_sessions)) AS lonely",
    "refresh_tokens": (
        "(SELECT session_id, user_id FROM user_sessions"
        " WHERE session_id NOT IN (SELECT session_id FROM refresh_tokens)) AS lonely"
    ),
}
#: In this order of each table neighbours have nothing to do with each other, so that the real rows lie anywhere.
SHUFFLED = {
    "users": "users_username_index_unique",
    "user_sessions": "user_sessions_pk",
    "refresh_tokens": "refresh_tokens_pk",
}


def fill(config: PostgresConfig, original: Person, count: int) -> None:
    """Add `count` copies of a person with session and refresh token, then lay all rows out at random."""
    with connected(config) as connection:
        # To look for those without a session once for each row would take hours.
        connection.execute("SET work_mem = '256MB'")
        for table in DRAWN if count else ():
            connection.execute(_copies(connection, table, original, count))
        for table, index in SHUFFLED.items():
            connection.execute(SQL("CLUSTER {} USING {}").format(Identifier(table), Identifier(index)))
            connection.execute(SQL("VACUUM ANALYZE {}").format(Identifier(table)))


def _copies(connection: Connection, table: str, original: Person, count: int) -> Composed:
    """Say the INSERT for one table, for all columns that it has."""
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s", [table]
    )
    columns = [str(row[0]) for row in found]
    drawn = DRAWN[table]
    values = [SQL(drawn[name]) if name in drawn else SQL("original.") + Identifier(name) for name in columns]
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS original CROSS JOIN {} WHERE original.{} = {}").format(
        Identifier(table),
        SQL(", ").join(map(Identifier, columns)),
        SQL(", ").join(values),
        Identifier(table),
        SQL(LONELY[table].replace("{count}", str(count))),
        Identifier("id" if table == "users" else "user_id"),
        original.user_id,
    )
