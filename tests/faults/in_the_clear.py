"""What people hold, and who they are, stands in the clear nowhere: not in a log, not in a row, not in Redis."""

from collections.abc import Iterator

from psycopg.sql import SQL, Identifier
from redis import Redis

from tests.faults.books import Books, Invariant
from tests.faults.world import World
from tests.own_redis import OwnServer
from tests.redis_nodes import HOST, role

TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"


def look_for_secrets(world: World, books: Books) -> None:
    """Look; what is found is in the books."""
    known = {secret: kind for kind, secret in _known(books)}
    forms = {form: kind for secret, kind in known.items() for form in (secret.encode(), secret.encode().hex().encode())}
    for place, content in _places(world):
        for kind in sorted({kind for form, kind in forms.items() if form in content}):
            books.breaks(Invariant.SECRET, f"{place} holds a {kind}")


def _known(books: Books) -> Iterator[tuple[str, str]]:
    """Yield what must not be found, and what it is."""
    for person in books.registered.values():
        yield "name", person.username
        yield "password", person.password.decode()
    for login in [*books.living, *books.ended]:
        yield "access token", login.access_token
        for token in (login.refresh_token, *login.spent):
            yield "refresh token", token
    for code in [*books.codes_used, *books.codes_in_doubt]:
        yield "recovery code", code
    for seed in books.seeds:
        yield "secret of a second factor", seed


def _places(world: World) -> Iterator[tuple[str, bytes]]:
    for service in world.services:
        yield "the log", service.log.read_bytes()
    with world.superuser() as connection:
        for table in connection.execute(TABLES).fetchall():
            rows = connection.execute(SQL("SELECT t::text FROM {} t").format(Identifier(*table))).fetchall()
            yield f"the table {table[1]}", "\n".join(row[0] for row in rows).encode()
    for url in _servers(world):
        with Redis.from_url(url) as redis:
            for key in redis.scan_iter(count=1000):
                kind = redis.type(key)
                value = redis.get(key) if kind == b"string" else b" ".join(redis.zrange(key, 0, -1))
                yield "Redis", key + b" " + (value or b"")


def _servers(world: World) -> list[str]:
    if isinstance(world.redis, OwnServer):
        return [world.redis.url]
    return [f"redis://{HOST}:{node.port}" for node in world.redis.nodes if role(node) == "master"]
