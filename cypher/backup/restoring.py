"""Brings a backup back: into an empty database, with its key store, and served by nobody before all of it is done.

Each step is whole or not done at all. After an interruption the same command goes on where the database shows that it
was, or says which other one does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from cypher.app import key_store
from cypher.backup.creating import Progress
from cypher.backup.dumping import bring_back
from cypher.backup.finishing import Restored, finish_restore
from cypher.backup.manifest import DUMP
from cypher.backup.programs import NEW_TIMEOUTS, find_program
from cypher.backup.verifying import Backup
from cypher.clock import Clock
from cypher.config import Config
from cypher.crypto.keystore import KeyStore
from cypher.errors import KeyStoreRefused, OperatorError
from cypher.migrate import migrate
from cypher.postgres import MAINTENANCE_SECONDS, Database
from cypher.postgres_errors import QueryFailed
from cypher.repositories.deployment import DeploymentOnly
from cypher.schema import names

FINISH = "cypher backup restore --finish"


async def restore_backup(config: Config, backup: Backup, clock: Clock, progress: Progress) -> Restored:
    """Bring back a backup that was verified. Raises OperatorError where something is in the way."""
    _require_known(backup)
    store = key_store(config)
    async with _owned(config) as db:
        if await _is_empty(db):
            await asyncio.to_thread(_require_no_keys, config, store, backup)
            await _bring_back(config, db, backup, progress)
        else:
            await _require_same(config, db, backup)
    # The rights of the service are not in the dump, and its schema may be older than this version.
    await asyncio.to_thread(migrate, config.postgres, retention_days=config.audit.retention_days)
    if backup.source.store is None:
        await asyncio.to_thread(_put_keys, store, backup)
    return await finish_restore(config, clock)


@asynccontextmanager
async def _owned(config: Config) -> AsyncIterator[Database[DeploymentOnly]]:
    owner = replace(config.postgres.as_owner(), pool_max=1, statement_seconds=MAINTENANCE_SECONDS)
    db = await Database.open(owner, DeploymentOnly.over)
    try:
        yield db
    finally:
        await db.close()


async def _is_empty(db: Database[DeploymentOnly]) -> bool:
    async with db.connection() as repos:
        return not await repos.backups.count_tables()


async def _bring_back(config: Config, db: Database[DeploymentOnly], backup: Backup, progress: Progress) -> None:
    async with db.connection() as repos:
        server = await repos.backups.get_server_major()
    written = backup.contents.pg_dump
    if server < NEW_TIMEOUTS <= written:
        raise OperatorError(
            f"The backup is of PostgreSQL {written}, and the server is {server}: what came with {NEW_TIMEOUTS} is not "
            "understood there. Restore it to a server that is not older. Nothing was changed."
        )
    needs_tls = config.postgres.needs_tls
    program = find_program("pg_restore", at_least=max(server, written), back_to=server, needs_tls=needs_tls)
    report = progress.begin("bytes brought back", backup.dump.stat().st_size)
    sha256 = backup.contents.files[DUMP].sha256
    await bring_back(program, config.postgres.as_owner(), backup.dump, sha256, report)


def _require_known(backup: Backup) -> None:
    unknown = sorted(set(backup.contents.schema) - set(names()))
    if unknown:
        raise OperatorError(
            f"The backup is of a later version of Cypher ({backup.contents.cypher}): its schema has {unknown[0]}, "
            "which is not known here. Restore it with that version. Nothing was changed."
        )


def _require_no_keys(config: Config, store: KeyStore, backup: Backup) -> None:
    """Refuse to begin where the keys would have no place. In PostgreSQL they have one when the tables are there."""
    in_place = backup.source.store is not None
    if config.keys.store == "postgres":
        if in_place:
            raise OperatorError("KEY_STORE is postgres and the database is empty: there are no keys in place.")
        return
    if not in_place and store.read() is not None:
        raise KeyStoreRefused(
            f"There is a key store at {store.describe()} already, and it is not overwritten. If it is this backup's "
            "own, or a later state of it, use it: --keys-in-place. Else set KEY_STORE_PATH to another place. Nothing "
            "was changed."
        )


async def _require_same(config: Config, db: Database[DeploymentOnly], backup: Backup) -> None:
    """Refuse a database that holds anything but this very backup, brought back by a restore that was cut off."""
    name = config.postgres.database
    try:
        async with db.connection() as repos:
            identity = await repos.deployment.get_identity() if await repos.backups.is_ours() else None
            served = identity is None or await repos.deployment.get_epoch() is not None
            rows = {} if served else await repos.sealed_columns.count_rows()
    except QueryFailed:  # tables of another version, or of somebody else
        identity, served, rows = None, True, {}
    if identity is None or served or identity.store_id != backup.contents.store_id:
        raise OperatorError(
            f"The database {name} is not empty, and nothing is overwritten. Make a new one (POSTGRES_DB, `cypher "
            "init-db --create-db`), or drop this one. Nothing was changed."
        )
    if rows != backup.contents.keys:
        raise OperatorError(
            f"The database {name} holds another backup, or one whose restore is almost done. To serve what is in it "
            f"run `{FINISH}`; to restore this backup, make an empty database. Nothing was changed."
        )


def _put_keys(store: KeyStore, backup: Backup) -> None:
    """Put the key store in place, unless an earlier restore of this backup has."""
    ring = backup.ring.stored
    store.prepare()
    with store.lock():
        there = store.read()
        if there is None:
            store.write(ring)
        elif there != ring:
            raise KeyStoreRefused(
                f"There is another key store at {store.describe()}, and it is not overwritten. The database is brought "
                f"back and is not served. If that store is a later state of this backup's, run `{FINISH}`; else take "
                "it away and run this again."
            )
