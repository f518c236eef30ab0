"""Brings a key store and a database together at the start, or refuses and changes nothing.

A key store is made only for a database that has never had one and holds nothing sealed: a new key over old rows
would lock everybody out for good.
"""

import asyncio
import logging
from typing import Protocol, TypeVar

from cypher.auth.opaque import new_setup
from cypher.clock import Clock
from cypher.config import Secret
from cypher.crypto.epochs import begin_epoch
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import KeyStore
from cypher.errors import KeyStoreRefused, PostgresUnavailable
from cypher.postgres import Database
from cypher.repositories.deployment import DeploymentRepository, Identity
from cypher.repositories.sealed_columns import SealedColumnsRepository

logger = logging.getLogger("cypher.maintenance")


class HoldsDeployment(Protocol):
    """Repositories of which this module needs two."""

    @property
    def deployment(self) -> DeploymentRepository: ...

    @property
    def sealed_columns(self) -> SealedColumnsRepository: ...


R = TypeVar("R", bound=HoldsDeployment)


async def open_key_ring(
    db: Database[R], store: KeyStore, master_password: Secret, clock: Clock, *, may_create: bool
) -> KeyRing:
    """Open the key store that belongs to `db`; with `may_create`, make it for an empty database.

    Raises KeyStoreRefused, and has written nothing, when the store is missing, does not open with the password,
    belongs to another database, is older than the one this database has seen, or lacks a key that it has seen.
    """
    if await asyncio.to_thread(store.read) is None:
        await _require_fresh(db, store, may_create=may_create)
        ring = await asyncio.to_thread(KeyRing.create, store, master_password.reveal(), clock, opaque_setup=new_setup())
        logger.info("made the key store at %s: back it up, for without it nothing opens", store.describe())
    else:
        ring = await asyncio.to_thread(KeyRing.open, store, master_password.reveal(), clock)
    await _join(db, store, ring, may_create=may_create)
    return ring


async def open_restored_key_ring(db: Database[R], store: KeyStore, master_password: Secret, clock: Clock) -> KeyRing:
    """Open the key store of a database that was brought back from a backup, and begin a new epoch in it.

    From here on nobody is served until the database is of this epoch as well. Raises KeyStoreRefused, and has written
    nothing, as `open_key_ring` does.
    """
    ring = await asyncio.to_thread(KeyRing.open, store, master_password.reveal(), clock)
    _require_every_purpose(ring)
    async with db.connection() as repos:
        if not await repos.deployment.has_sealed_rows():
            raise KeyStoreRefused("There is nothing in this database that a restore could finish.")
        await _require_own(repos, store, ring)
    await asyncio.to_thread(begin_epoch, store, ring)
    return await asyncio.to_thread(KeyRing.open, store, master_password.reveal(), clock)


async def _require_fresh(db: Database[R], store: KeyStore, *, may_create: bool) -> None:
    async with db.connection() as repos:
        if await repos.deployment.get_identity() is not None or await repos.deployment.has_sealed_rows():
            raise KeyStoreRefused(
                f"There is no key store at {store.describe()}, but the database holds what one has sealed. "
                "Bring the key store back from its backup, or set KEY_STORE and KEY_STORE_PATH to where it is."
            )
    if not may_create:
        raise KeyStoreRefused(
            f"There is no key store at {store.describe()}. `cypher serve` makes one at its first start."
        )


async def _join(db: Database[R], store: KeyStore, ring: KeyRing, *, may_create: bool) -> None:
    """Compare the ring with what the database has seen; the first ring to come is written down."""
    _require_every_purpose(ring)
    ours = Identity(store_id=ring.store_id, generation=ring.generation)
    async with db.transaction() as repos:
        theirs = await repos.deployment.get_identity()
        if theirs is None:
            if not may_create or await repos.deployment.has_sealed_rows():
                raise KeyStoreRefused(
                    "The database does not know the key store it belongs to. Start the service on an empty "
                    "database, or restore this one together with its key store."
                )
            await repos.deployment.insert_identity(ours)
            await repos.deployment.insert_epoch(ring.epoch)
            theirs = await repos.deployment.get_identity()
        await _require_own(repos, store, ring)
        _require_epoch(store, ring, await repos.deployment.get_epoch())
        await note_ring(repos.deployment, ring)


async def note_ring(deployment: DeploymentRepository, ring: KeyRing) -> None:
    """Write down the state of the store and its data keys, by which an older store is known later."""
    await deployment.set_generation(ring.generation)
    for key in ring.live(Purpose.DATA):
        await deployment.insert_data_key(key.id)


def require_one_deployment(store: KeyStore, ring: KeyRing, theirs: Identity | None, *, epoch: str | None) -> None:
    """Raise KeyStoreRefused when a ring is not of the database that says this of itself, or older than it has seen."""
    _require_generation(store, ring, theirs)
    _require_epoch(store, ring, epoch)


def _require_every_purpose(ring: KeyRing) -> None:
    for purpose in Purpose:
        ring.primary(purpose)  # a store that lacks one must show at the start, not at a request


async def _require_own(repos: HoldsDeployment, store: KeyStore, ring: KeyRing) -> None:
    """Refuse a ring that is not this database's, or not as new as what it has seen."""
    theirs, seen = await repos.deployment.get_identity(), set(await repos.deployment.list_data_keys())
    if theirs is not None and (theirs.generation > ring.generation or seen - _ids(ring)):
        # The store is written before the database hears of it: beside a process that has just made a key, this one
        # has read the store a moment too early.
        await asyncio.to_thread(ring.reload)
    _require_generation(store, ring, theirs)
    if missing := sorted(seen - _ids(ring)):
        names = ", ".join(await _counted(repos, missing))
        raise KeyStoreRefused(
            f"The key store at {store.describe()} lacks keys that this database has used: {names}. "
            "Bring the newest backup of the key store back."
        )


def _require_generation(store: KeyStore, ring: KeyRing, theirs: Identity | None) -> None:
    if theirs is None or theirs.store_id != ring.store_id:
        raise KeyStoreRefused(
            f"The key store at {store.describe()} belongs to another database. "
            "Set KEY_STORE and KEY_STORE_PATH to the store of this one, or POSTGRES_DB to the database of that one."
        )
    if theirs.generation > ring.generation:
        raise KeyStoreRefused(
            f"The key store at {store.describe()} is older (generation {ring.generation}) than the one this "
            f"database has seen (generation {theirs.generation}). Bring the newest backup of the key store back."
        )


def _require_epoch(store: KeyStore, ring: KeyRing, epoch: str | None) -> None:
    if epoch != ring.epoch:
        raise KeyStoreRefused(
            f"The database and the key store at {store.describe()} are not of one epoch: one of them was brought back "
            "from a backup, and what must end after that has not. Run: cypher backup restore --finish"
        )


async def _counted(repos: HoldsDeployment, key_ids: list[str]) -> list[str]:
    try:
        counts = await repos.sealed_columns.count_rows()
    except PostgresUnavailable:  # large tables take longer than a start may wait
        return key_ids
    return [f"{key_id} ({sum(counts.get(key_id, {}).values())} values)" for key_id in key_ids]


def _ids(ring: KeyRing) -> set[str]:
    return {info.id for info in ring.get_key_info()}
