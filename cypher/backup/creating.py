"""Makes a backup beside a running service: everything in it is of one snapshot of the database.

The key store is read after the snapshot is taken. A key is written there before it seals a row, so that all that the
snapshot needs is in it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from cypher import __version__
from cypher.app import Resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.backup.dumping import Report, dump
from cypher.backup.manifest import (
    DUMP,
    KEYRING,
    Contents,
    Manifest,
    Rows,
    Written,
    missing_keys,
    sign_manifest,
    write_manifest,
)
from cypher.backup.places import KEYS, hash_file, new_directory, require_apart, write_file
from cypher.backup.programs import Program, find_program
from cypher.crypto.stored import encode_ring
from cypher.errors import KeyStoreRefused, OperatorError
from cypher.maintenance.checkpoints import Checkpoints
from cypher.repositories import Repositories


class Progress(Protocol):
    """Shows how far a step is."""

    def begin(self, step: str, total: int) -> Report:
        """Begin the next step, of so many parts; what it returns is called with how many are done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the two halves go: directories that are not there yet. `keys` None: inside of `data`."""

    data: Path
    keys: Path | None

    @contextmanager
    def making(self) -> Iterator[tuple[Path, Path]]:
        """Lend both, unfinished. The keys get their name first: a dump without them would look like a backup."""
        with new_directory(self.data) as data:
            if self.keys is None:
                (data / KEYS).mkdir(mode=0o700)
                yield data, data / KEYS
                return
            require_apart(self.data, self.keys)
            with new_directory(self.keys) as keys:
                yield data, keys


async def create_backup(open_: Resources, target: Target, progress: Progress) -> Manifest:
    """Make a backup; raises OperatorError, and has left nothing behind, when it cannot be made."""
    with target.making() as (data, keys):
        # Before it is taken: who took a copy of everything stands in the copy as well.
        async with open_.db.transaction() as repos:
            await open_.audit.record(repos, Happening(event=Event.BACKUP_CREATED, note=str(target.data)), None)
        async with open_.upkeep.transaction() as repos:
            snapshot = await repos.backups.hold_snapshot()
            server = await repos.backups.get_server_major()
            needs_tls = open_.config.postgres.needs_tls
            program = find_program("pg_dump", at_least=server, back_to=server, needs_tls=needs_tls)
            contents = await _contents(open_, repos, program, keys)
            tables = await repos.backups.count_tables()
            report = progress.begin("tables dumped", tables)
            await dump(program, open_.config.postgres.as_owner(), snapshot, data / DUMP, report)
            report(tables)  # some are left out of it
        return await asyncio.to_thread(_finish, open_, contents, data, progress)


async def _contents(open_: Resources, repos: Repositories, program: Program, keys: Path) -> Contents:
    """Return what the snapshot holds, and write the key store that opens it."""
    rows = await repos.sealed_columns.count_rows()
    schema = tuple(sorted(await repos.deployment.list_migrations()))
    last = await repos.audit_seals.get_last_seal()
    checkpoint = await Checkpoints(open_.ring, open_.clock, None).make(last.seal.statement) if last else None
    await _reload(open_, rows)
    stored = open_.ring.stored
    await asyncio.to_thread(write_file, keys / KEYRING, encode_ring(stored))
    sha256, size = await asyncio.to_thread(hash_file, keys / KEYRING)
    return Contents(
        made_at=open_.clock.now(),
        cypher=__version__,
        pg_dump=program.major,
        schema=schema,
        store_id=stored.store_id,
        generation=stored.generation,
        keys=rows,
        checkpoint=checkpoint,
        files={KEYRING: Written(sha256=sha256, size=size)},
    )


async def _reload(open_: Resources, rows: Rows) -> None:
    """Read the key store as it is now, and refuse one that does not open what the snapshot holds."""
    await asyncio.to_thread(open_.ring.reload)
    if not open_.ring.healthy:
        raise KeyStoreRefused("The key store is not the one that this database belongs to any more. Run cypher again.")
    if gone := missing_keys(rows, open_.ring):
        raise OperatorError(
            f"Rows need keys that the key store lacks: {gone}. A backup that does not hold them would be none. Bring "
            "the newest backup of the key store back; if a key was being destroyed just now, try again."
        )


def _finish(open_: Resources, contents: Contents, data: Path, progress: Progress) -> Manifest:
    """Write down what was written, and sign it."""
    size = (data / DUMP).stat().st_size
    sha256, size = hash_file(data / DUMP, progress.begin("bytes hashed", size))
    files = {DUMP: Written(sha256=sha256, size=size), **contents.files}
    manifest = sign_manifest(msgspec.structs.replace(contents, files=files), open_.ring)
    write_manifest(data, manifest)
    return manifest
