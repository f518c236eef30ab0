"""`cypher keys`: the keys that seal the data, and what is done with them by hand."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cypher.app import Resources, reencryption, required_password, resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.clock import SystemClock
from cypher.commands.running import JsonOption, run, servers, with_resources
from cypher.commands.terminal import id_column
from cypher.config import Config, KeyStoreKind, Secret
from cypher.crypto.keyring import Algorithm, Purpose, State
from cypher.errors import OperatorError, SettingsRefused
from cypher.maintenance.background import reencrypted
from cypher.maintenance.key_custody import KeyView
from cypher.maintenance.key_identity import note_ring
from cypher.maintenance.reindexing import Reindexing
from cypher.master_password import problems_of
from cypher.moving import move_store as move_ring
from cypher.operating import asked_reencryption, key_custody
from cypher.settings import SettingsReader

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The keys that seal the data.")

NEW_PASSWORD = "NEW_MASTER_ENCRYPTION_PASSWORD"  # noqa: S105 - the name of a setting
ROUNDS = 600_000


@app.command()
def status(json: JsonOption = False) -> None:
    """Show every key and what hangs on it, never what it is made of."""

    async def show(open_: Resources) -> None:
        keys = await key_custody(open_).list_keys()
        if json:
            print(msgspec.json.encode(keys).decode())
            return
        table = Table(id_column(), "purpose", "algorithm", "state", "age", "operations", "rows", "next rotation")
        for key in keys.items:
            table.add_row(key.id, key.purpose, key.algorithm, key.state, *_numbers(key, open_.clock.now()))
        console = Console()
        console.width = max(console.width, 130)
        console.print(table)

    with_resources(show)


@app.command()
def rotate(
    purpose: Annotated[Purpose, typer.Option(help="What the key is for.")] = Purpose.DATA,
    algorithm: Annotated[Algorithm | None, typer.Option(help="The cipher from now on; default: as before.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a new key for what is written from now on; older rows go on opening with theirs."""

    async def turn(open_: Resources) -> None:
        key = await key_custody(open_).rotate(purpose, algorithm)
        if json:
            print(msgspec.json.encode(key).decode())
            return
        later = ": it signs in an hour, when whoever verifies tokens knows it" if key.state is State.PENDING else ""
        print(f"{key.id} is {key.state}{later}.")

    with_resources(turn)


@app.command()
def reencrypt(
    rate: Annotated[
        int | None, typer.Option(min=1, help="Values a second at most; default: as fast as it goes.")
    ] = None,
) -> None:
    """Move every sealed value to the active data key, beside live traffic. Ctrl-C stops it; run again, it goes on."""

    async def move(open_: Resources) -> None:
        sweep = reencryption(open_, rate)
        total = await sweep.remaining()
        columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=total)
            done = await sweep.run(
                lambda now: bar.update(task, completed=min(now.moved, total), description=now.column)
            )
        if done.moved:
            await _record(open_, reencrypted(done, open_.ring.primary(Purpose.DATA).id, by_itself=False))
        print(f"{done.moved} values were moved to {open_.ring.primary(Purpose.DATA).id}.")
        if done.unopened:
            raise OperatorError(f"{done.unopened} values do not open and stay as they are; the log names them.")

    with_resources(move)


@app.command()
def progress(json: JsonOption = False) -> None:
    """Show how many values are still to be moved to the active data key, and whether the service moves them."""

    async def show(open_: Resources) -> None:
        now = await asked_reencryption(open_).status()
        if json:
            print(msgspec.json.encode(now).decode())
            return
        moving = "the service moves them" if now.is_running else "nobody moves them now, unless at a terminal"
        print(f"{now.remaining:,} values are not under {now.active_key}; {moving}.")

    with_resources(show)


@app.command()
def destroy(key_id: str, json: JsonOption = False) -> None:
    """Destroy a key on which nothing hangs any more. Backups of the key store still hold it."""

    async def end(open_: Resources) -> None:
        proof = await key_custody(open_).destroy(key_id)
        if json:
            print(msgspec.json.encode(proof).decode())
            return
        print(
            f"{key_id} is destroyed: {proof.rows_before} rows before and {proof.rows_after} after it was taken from "
            "sealing. Backups of the key store still hold it; let them go."
        )

    with_resources(end)


@app.command()
def change_master(
    rounds: Annotated[int | None, typer.Option(min=ROUNDS, help="Rounds of PBKDF2; default: as many as now.")] = None,
    same_password: Annotated[bool, typer.Option("--same-password", help="Change the rounds only.")] = False,
) -> None:
    """Wrap every key anew under another master password (NEW_MASTER_ENCRYPTION_PASSWORD, or asked for)."""
    with servers() as (config, embedded):
        if embedded and embedded.holds_postgres and not same_password:
            raise OperatorError(
                "The master password of the embedded servers lies beside the keys, and to change it protects nothing. "
                "The rounds can be changed: cypher keys change-master --same-password --rounds 1200000"
            )
        password = required_password(config).reveal() if same_password else _new_password(config)
        run(_rewrap(config, password, rounds))
    told = "Start every instance again" if same_password else "Set MASTER_ENCRYPTION_PASSWORD and start every instance"
    print(
        f"Every key is wrapped anew. {told}: those that run now seal nothing more after 30 s. Older backups of the key "
        "store open as they did."
    )


async def _rewrap(config: Config, password: str, rounds: int | None) -> None:
    async with resources(config, SystemClock()) as open_:
        chosen = rounds or max(ROUNDS, open_.ring.stored.kdf.rounds)
        # Before it is done: a crash in between leaves an entry too many, never a change without one.
        await _record(open_, Happening(event=Event.MASTER_PASSWORD_CHANGED, note=f"{chosen} rounds"))
        await asyncio.to_thread(open_.ring.rewrap, password, chosen)
        await open_.keys.note()


@app.command()
def rotate_index() -> None:
    """Index every name and device under a new key. Logins go on; nobody registers or is renamed (503) meanwhile."""

    async def index(open_: Resources) -> None:
        print("The new key is made known to every instance first, and at the end again: 35 s each.", file=sys.stderr)
        reindexing = Reindexing(db=open_.upkeep, ring=open_.ring, audit=open_.audit, clock=open_.clock)
        with Progress(TextColumn("{task.description}"), MofNCompleteColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=None)
            key_id = await reindexing.run(
                lambda column, rows: progress.update(task, completed=rows, description=column)
            )
        print(f"{key_id} is active. The one before can be destroyed; the trail's older entries are found by it.")

    with_resources(index)


@app.command()
def move_store(
    to: Annotated[KeyStoreKind, typer.Option(help="Where to.")],
    path: Annotated[Path | None, typer.Option(help="The directory, made if need be; default: KEY_STORE_PATH.")] = None,
) -> None:
    """Take the keys to the other kind of key store; after an interruption, run it again."""
    with servers() as (config, _):
        print(run(move_ring(config, to, path, SystemClock())))


def _numbers(key: KeyView, now: datetime) -> tuple[str, str, str, str]:
    return (
        f"{(now - key.created_at).days} d",
        "" if key.operations is None else f"{key.operations:,}",
        "" if key.rows_remaining is None else f"{key.rows_remaining:,}",
        f"{key.next_rotation_at.astimezone(UTC):%Y-%m-%d %H:%M}" if key.next_rotation_at else "",
    )


def _new_password(config: Config) -> str:
    read = SettingsReader(os.environ, None)
    found = read.secret(NEW_PASSWORD)
    if found is None and not read.problems:
        if not sys.stdin.isatty():
            raise OperatorError(f"Set {NEW_PASSWORD}, or {NEW_PASSWORD}_FILE, or run this at a terminal.")
        found = Secret(typer.prompt("New master password", hide_input=True, confirmation_prompt=True))
    beside_the_data = config.keys.store == "postgres"
    for problem in problems_of(found.reveal(), beside_the_data=beside_the_data) if found else ():
        read.refuse(f"{NEW_PASSWORD} {problem}")
    if read.problems or found is None:
        raise SettingsRefused(read.problems)
    return found.reveal()


async def _record(open_: Resources, happening: Happening) -> None:
    async with open_.db.transaction() as repos:
        await note_ring(repos.deployment, open_.ring)
        await open_.audit.record(repos, happening, None)
