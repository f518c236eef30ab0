"""What a person sees, beside what a thief of the servers would see: the product in ten seconds.

Works on a running service through its public routes; of the servers it only reads the rows it caused.
"""

from dataclasses import dataclass, field
from uuid import UUID

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cypher import sqlfiles
from cypher.app import Resources
from cypher.client import CypherClient, ListedSession, RegisteredUser
from cypher.clock import new_bytes, new_token
from cypher.ephemeral.sealed_values import SealedValues
from cypher.ephemeral.session_cache import KIND
from cypher.errors import OperatorError
from cypher.postgres import Database, Executor, Record

sql = sqlfiles.load("demo")

WIDTH = 100
SHOWN = 44  #: characters of a long value; enough to see that it says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has just logged in, with all that they hold; the password stays with them."""

    user: RegisteredUser
    session: ListedSession
    password: str = field(repr=False)
    refresh_token: str = field(repr=False)


class SealedRows:
    """Rows as they are stored, opened by nobody."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def get_sealed_user(self, user_id: UUID) -> Record | None:
        return await self._run.one(sql.get_sealed_user, user_id)

    async def get_sealed_session(self, session_id: UUID) -> Record | None:
        return await self._run.one(sql.get_sealed_session, session_id)


async def demo(base_url: str, open_: Resources, console: Console | None = None) -> None:
    """Walk a random person through one session at `base_url`, and print what it left on the servers.

    Raises OperatorError for an address that is none or a service on other servers than `open_`, and the errors of
    `cypher.client` when the service does not answer or is closed to newcomers.
    """
    out = console or Console(width=WIDTH, highlight=False)
    try:
        visitor = CypherClient(base_url)
    except ValueError as exc:
        raise OperatorError(str(exc)) from exc
    async with visitor as client:
        person = await _come_in(client, out)
        try:
            # Looked at before the logout: afterwards Redis holds a tombstone, a single byte.
            tables = await _tables(person, open_)
        finally:
            await client.logout()
    _tell(out, "logged out", "the session and its tokens are over on every instance")
    for table in tables:
        out.print()
        out.print(table)
    lacking = "master password" if open_.config.keys.store == "postgres" else "key store"
    out.print(f"\nThe {lacking} is not in these servers: a stolen database opens nothing.")


async def _come_in(client: CypherClient, out: Console) -> Person:
    username, password = f"demo-{new_bytes(4).hex()}", new_token()
    user = await client.register(username, password)
    _tell(out, "registered", f"{user.username}: the service got a sealed record, never the password")
    session = await client.login(username, password)
    _tell(out, "logged in", f"session {session.id}, proven by {', '.join(session.amr)}")
    await client.session()
    _tell(out, "recognised", f"until {session.expires_at:%Y-%m-%d %H:%M} UTC at the latest")
    await client.refresh()
    _tell(out, "refreshed", "new access token, new refresh token, the old one is spent")
    current = next(listed for listed in await client.sessions() if listed.current)
    await client.session()  # fills the cache, should the last 30 s have emptied it
    refresh_token = client.tokens.refresh_token if client.tokens else ""
    return Person(user=user, session=current, password=password, refresh_token=refresh_token)


async def _tables(person: Person, open_: Resources) -> list[Table]:
    db = await Database.open(open_.config.postgres, SealedRows)
    try:
        async with db.connection() as rows:
            user = await rows.get_sealed_user(person.user.id)
            session = await rows.get_sealed_session(person.session.id)
    finally:
        await db.close()
    if user is None or session is None:
        raise OperatorError(
            "The service there keeps its people in another database than this command looks into: give both the same "
            "settings."
        )
    key = SealedValues(open_.codec, open_.ring.epoch).key(KIND, str(person.session.id))
    value = await open_.redis.get(key)
    document = f"{person.session.username}, aal {person.session.aal}, until {person.session.expires_at:%Y-%m-%d}"
    return [
        _side_by_side("PostgreSQL: users", _user_rows(person, user)),
        _side_by_side("PostgreSQL: user_sessions, refresh_tokens", _session_rows(person, session)),
        _side_by_side("Redis", [("session", document, value and value.decode("ascii", "replace"))]),
    ]


def _user_rows(person: Person, row: Record) -> list[tuple[str, str, object]]:
    return [
        ("username", person.user.username, row["username"]),
        ("username_index", "(finds the name again)", row["username_index"]),
        ("opaque_record", f"password {_short(person.password, 12)}", row["opaque_record"]),
    ]


def _session_rows(person: Person, row: Record) -> list[tuple[str, str, object]]:
    return [
        ("session_data", person.session.user_agent, row["session_data"]),
        ("ip_address", person.session.ip_address, row["ip_address"]),
        ("token_hash", _short(person.refresh_token, 24), row["token_hash"]),
    ]


def _side_by_side(title: str, rows: list[tuple[str, str, object]]) -> Table:
    table = Table("", "the person sees", "the server holds", title=title, title_justify="left", width=WIDTH)
    for name, seen, held in rows:
        table.add_row(name, escape(seen), escape(_short(_text(held), SHOWN)))
    return table


def _text(held: object) -> str:
    if isinstance(held, bytes):
        return held.hex()
    return "(nothing)" if held is None else str(held)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def _tell(out: Console, done: str, what: str) -> None:
    out.print(f"[bold]{done:>11}[/bold]  {escape(what)}")
