"""`cypher backup`: take the database and its keys elsewhere, prove that they would do, bring them back."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cypher.app import Resources, key_store, required_password
from cypher.backup.creating import Target, create_backup
from cypher.backup.dumping import Report
from cypher.backup.finishing import Restored, finish_restore
from cypher.backup.manifest import Contents
from cypher.backup.restoring import restore_backup
from cypher.backup.verifying import Source, verify_backup
from cypher.clock import SystemClock
from cypher.commands.running import JsonOption, YesOption, confirm, run, servers, with_resources
from cypher.config import Config, Secret, load
from cypher.embedded import kept_password
from cypher.errors import OperatorError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Backups of the database and its keys.")

FromOption = Annotated[Path, typer.Option("--from", help="The directory of the dump.")]
KeysFromOption = Annotated[
    Path | None, typer.Option(help="The directory of the keys; default: where --together has put them.")
]


class Bars:
    """A bar for each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, step: str, total: int) -> Report:
        task = self._progress.add_task(step, total=total)
        return lambda done: self._progress.update(task, completed=min(done, total))


@app.command()
def create(
    to: Annotated[Path, typer.Option(help="A new directory for the dump.")],
    keys_to: Annotated[Path | None, typer.Option(help="A new directory for the keys, in another place.")] = None,
    together: Annotated[bool, typer.Option("--together", help="Put the keys beside the dump.")] = False,
    json: JsonOption = False,
) -> None:
    """Make a backup beside the running service. Redis needs none."""
    target = _target(to, keys_to, together=together)

    async def make(open_: Resources) -> None:
        with _bars() as bars:
            manifest = await create_backup(open_, target, bars)
        _tell(manifest.contents, f"The backup is at {to}, its keys at {keys_to or to / 'keys'}.", json=json)

    with_resources(make)


@app.command()
def verify(from_: FromOption, keys_from: KeysFromOption = None, json: JsonOption = False) -> None:
    """Look whether a backup is whole and its keys open it; needs the master password and no server."""
    config = load(os.environ, Path(".env"))
    with _bars() as bars:
        backup = verify_backup(Source(data=from_, keys=keys_from), _password(config), SystemClock(), bars)
    _tell(backup.contents, f"The backup at {from_} is whole, and its keys open every row.", json=json)


@app.command()
def restore(
    from_: Annotated[Path | None, typer.Option("--from", help="The directory of the dump.")] = None,
    keys_from: KeysFromOption = None,
    keys_in_place: Annotated[
        bool, typer.Option("--keys-in-place", help="Only the database was lost: use the key store that is there.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="The database was brought back by other means: do what is left.")
    ] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Bring a backup back into an empty database, and end every session and token in it. Stop all instances before."""
    if finish == (from_ is not None) or (finish + keys_in_place + (keys_from is not None) > 1):
        raise OperatorError(
            "Say --from with --keys-from or --keys-in-place to bring a backup back, or --finish alone when the "
            "database is there."
        )
    with servers() as (config, _):
        if from_ is None:
            confirm(f"End every session and token in {_named(config)}, as after a restore?", yes=yes)
            _tell_restored(run(finish_restore(config, SystemClock())), json=json)
            return
        source = Source(data=from_, keys=keys_from, store=key_store(config) if keys_in_place else None)
        run(_restore(config, source, yes=yes, json=json))


async def _restore(config: Config, source: Source, *, yes: bool, json: bool) -> None:
    with _bars() as bars:
        backup = await asyncio.to_thread(verify_backup, source, required_password(config), SystemClock(), bars)
    made = f"{backup.contents.made_at:%Y-%m-%d %H:%M:%S} UTC"
    confirm(f"Bring the backup of {made} into {_named(config)}, and end every session and token in it?", yes=yes)
    with _bars() as bars:
        restored = await restore_backup(config, backup, SystemClock(), bars)
    _tell_restored(restored, json=json)


def _target(to: Path, keys_to: Path | None, *, together: bool) -> Target:
    if together == (keys_to is not None):
        raise OperatorError(
            "Say where the keys go: --keys-to another place. With --together instead they go beside the dump, and both "
            "are then only as strong as the master password."
        )
    return Target(data=to, keys=keys_to)


def _password(config: Config) -> Secret:
    """Return the master password, also the one that embedded servers keep, without starting them."""
    if config.keys.master_password is None and (kept := kept_password(config.embedded_path)):
        return kept
    return required_password(config)


def _named(config: Config) -> str:
    return f"the database {config.postgres.database} at {','.join(config.postgres.hosts)}"


@contextmanager
def _bars() -> Iterator[Bars]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bars(progress)


def _tell(contents: Contents, sentence: str, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode(contents).decode())
        return
    values = sum(sum(places.values()) for places in contents.keys.values())
    sealed = f"seal {contents.checkpoint.seal_no:,}" if contents.checkpoint else "no seal"
    size = sum(file.size for file in contents.files.values())
    print(sentence)
    print(
        f"It is of {contents.made_at:%Y-%m-%d %H:%M:%S} UTC: {values:,} values under {len(contents.keys)} keys, the "
        f"audit trail up to {sealed}, {size:,} bytes."
    )


def _tell_restored(restored: Restored, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode(restored).decode())
        return
    ended = restored.ended
    since = f"{restored.newest_entry_at:%Y-%m-%d %H:%M:%S} UTC" if restored.newest_entry_at else "the backup"
    print(
        f"The database can be served. Ended: {ended.sessions:,} sessions, {ended.device_tokens:,} device tokens, "
        f"{ended.recovery_tokens:,} recovery tokens, {ended.service_tokens:,} service tokens, {ended.recovery_codes:,} "
        f"recovery codes, the present codes of {ended.totp_steps:,} people with a second factor."
    )
    print(
        f"What happened after {since} is undone: changed passwords are the old ones again, who was deleted, locked or "
        "disabled is back. Delete, lock and disable them again; backends and operators need new tokens."
    )
    if restored.unsealed:
        print(f"{restored.unsealed:,} entries of the audit trail are not sealed yet: the service does that.")
