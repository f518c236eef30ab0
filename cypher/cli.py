"""The command line: one function per command. What goes wrong is one sentence and an exit status, never a traceback."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar
from uuid import UUID

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Column, Table

from cypher import logs, serving
from cypher.app import Resources, resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.auth.service_tokens import ServiceTokens
from cypher.client import CypherClientError
from cypher.clock import SystemClock
from cypher.config import Config, KeyStoreKind, load
from cypher.crypto.keyring import Algorithm, Purpose
from cypher.crypto.rotation import rotate
from cypher.demo import demo as run_demo
from cypher.embedded import Embedded, complete
from cypher.errors import CypherError, NotFound, OperatorError
from cypher.maintenance.key_identity import note_ring
from cypher.migrate import create_database, migrate
from cypher.moving import move_store

T = TypeVar("T")
JsonOption = Annotated[bool, typer.Option("--json", help="Print the object that programs read.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
keys_app = typer.Typer(no_args_is_help=True, help="The keys that seal the data.")
tokens_app = typer.Typer(no_args_is_help=True, help="Bearer tokens for backends and operators.")
app.add_typer(keys_app, name="keys")
app.add_typer(tokens_app, name="tokens")


def main() -> None:
    """Run a command; the entry point of `cypher` and of run.py."""
    try:
        app()
    except CypherError as exc:
        _refuse(str(exc) or exc.message())
    except CypherClientError as exc:
        _refuse(str(exc))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _refuse(sentence: str) -> NoReturn:
    print(f"cypher: {sentence}", file=sys.stderr)
    raise SystemExit(1)


@app.command()
def serve() -> None:
    """Serve until Ctrl-C; on a machine without PostgreSQL and Redis, on embedded ones."""
    with _servers() as (config, embedded):
        logs.set_up(config.log)
        applied = migrate(config.postgres) if embedded and embedded.holds_postgres else []
        _run(serving.serve(config, SystemClock(), announcement(config, embedded, applied)))


@app.command(name="migrate")
def migrate_command() -> None:
    """Bring the database's schema up to this version."""
    with _servers() as (config, _):
        applied = migrate(config.postgres)
    print("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")


@app.command()
def init_db(
    create_db: Annotated[bool, typer.Option("--create-db", help="Create role and database only.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Create role and database, then migrate.")] = False,
) -> None:
    """Set up a PostgreSQL server of yours, with the rights of POSTGRES_MIGRATION_USER."""
    if not (create_db or all_):
        raise OperatorError("Say what to do: --create-db (role and database) or --all (and the schema as well).")
    with _servers() as (config, _):
        for line in create_database(config.postgres):
            print(line)
        if all_:
            for name in migrate(config.postgres):
                print(f"applied {name}")


@app.command()
def demo(
    url: Annotated[str | None, typer.Option(help="Where the service runs; default: PUBLIC_ORIGIN.")] = None,
) -> None:
    """Show on a running service what a person sees, and what a thief of the database would see."""

    async def show(open_: Resources) -> None:
        await run_demo(url or open_.config.http.public_origin, open_)

    _with_resources(show)


@keys_app.command("status")
def keys_status(json: JsonOption = False) -> None:
    """Show every key, never what it is made of."""

    async def status(open_: Resources) -> None:
        infos = open_.ring.get_key_info()
        if json:
            print(msgspec.json.encode({"items": infos}).decode())
            return
        table = Table(_id_column(), "purpose", "algorithm", "state", "created")
        for info in infos:
            table.add_row(info.id, info.purpose, info.algorithm, info.state, f"{info.created_at:%Y-%m-%d %H:%M}")
        Console().print(table)

    _with_resources(status)


@keys_app.command("rotate")
def keys_rotate(
    purpose: Annotated[Purpose, typer.Option(help="What the key is for: data or cache.")] = Purpose.DATA,
    algorithm: Annotated[Algorithm | None, typer.Option(help="The cipher from now on; default: as before.")] = None,
) -> None:
    """Make a new key for what is written from now on; older rows go on opening with theirs."""

    async def turn(open_: Resources) -> None:
        key = await asyncio.to_thread(rotate, open_.ring, purpose, algorithm=algorithm)
        async with open_.db.transaction() as repos:
            await note_ring(repos.deployment, open_.ring)
            await open_.audit.record(repos, Happening(event=Event.KEY_ROTATED, note=key.id), None)
        print(f"{key.id} is active.")

    _with_resources(turn)


@keys_app.command("move-store")
def keys_move_store(
    to: Annotated[KeyStoreKind, typer.Option(help="Where to.")],
    path: Annotated[Path | None, typer.Option(help="The directory, made if need be; default: KEY_STORE_PATH.")] = None,
) -> None:
    """Take the keys to the other kind of key store; after an interruption, run it again."""
    with _servers() as (config, _):
        print(_run(move_store(config, to, path, SystemClock())))


@tokens_app.command("create")
def tokens_create(
    scope: Annotated[list[str], typer.Option(help="What it may do; can be repeated.")],
    name: Annotated[str, typer.Option(help="Who will hold it.")] = "unnamed",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="When it ends; default: never.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a service token. Its value is printed once and stored only as a hash."""

    async def create(open_: Resources) -> None:
        lifetime = timedelta(days=days) if days else None
        token_id, value = await _service_tokens(open_).create(name, frozenset(scope), lifetime)
        if json:
            print(msgspec.json.encode({"id": token_id, "token": value}).decode())
            return
        print(value)
        print(f"This is the only time it is shown. To end it: cypher tokens revoke {token_id}", file=sys.stderr)

    _with_resources(create)


@tokens_app.command("list")
def tokens_list(json: JsonOption = False) -> None:
    """List service tokens, without their values."""

    async def show(open_: Resources) -> None:
        tokens = await _service_tokens(open_).list_tokens()
        if json:
            print(msgspec.json.encode({"items": tokens}).decode())
            return
        table = Table(_id_column(), "name", "scopes", "created", "expires", "revoked")
        for token in tokens:
            moments = (token.created_at, token.expires_at, token.revoked_at)
            table.add_row(
                str(token.id),
                token.name,
                " ".join(sorted(token.scopes)),
                *(f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments),
            )
        Console().print(table)

    _with_resources(show)


@tokens_app.command("revoke")
def tokens_revoke(token_id: UUID) -> None:
    """End a service token now."""

    async def revoke(open_: Resources) -> None:
        try:
            await _service_tokens(open_).revoke(token_id)
        except NotFound as exc:
            raise OperatorError("No living token has this id. See: cypher tokens list") from exc
        print(f"{token_id} is revoked.")

    _with_resources(revoke)


def announcement(config: Config, embedded: Embedded | None, applied: list[str]) -> str:
    """Say in a few lines where the service is, what it stands on and what to try next; `{url}` is filled in later."""
    lines = ["Cypher answers on {url}"]
    if embedded and embedded.holds_postgres:
        made = "made" if applied else "found again"
        lines += [
            f"  data, keys and their password: {embedded.path} ({made}; for trying, it protects no disk)",
            "  on servers of your own: copy .env.example to .env",
        ]
    elif embedded:
        lines.append(f"  the cache: {embedded.path} (Valkey; set REDIS_HOST for one of your own)")
    lines += [f"  see it work:  {Path(sys.executable).parent / 'cypher'} demo", "  stop it:      Ctrl-C"]
    return "\n".join(lines)


def _id_column() -> Column:
    """Return a column for ids: one that was cut to the terminal could not be given to the next command."""
    return Column("id", no_wrap=True, min_width=36)


def _service_tokens(open_: Resources) -> ServiceTokens:
    return ServiceTokens(db=open_.db, audit=open_.audit, clock=open_.clock)


@contextmanager
def _servers() -> Iterator[tuple[Config, Embedded | None]]:
    """Read the settings, start what is embedded, and stop it at the end when nobody else uses it."""
    config, embedded = complete(load(os.environ, Path(".env")))
    try:
        yield config, embedded
    finally:
        if embedded:
            embedded.stop()


def _with_resources(act: Callable[[Resources], Awaitable[None]]) -> None:
    async def run(config: Config) -> None:
        async with resources(config, SystemClock()) as open_:
            await act(open_)

    with _servers() as (config, _):
        _run(run(config))


def _run(work: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await work

    return uvloop.run(awaited())
