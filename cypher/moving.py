"""`cypher keys move-store`: takes the key ring to the other kind of key store.

It is copied, opened where it is now, noted in the database, and only then removed from where it was: at every moment
at least one of the two stores opens, and whatever interrupts a move, the same command finishes it.
"""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cypher.app import Resources, key_store, required_password, resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.clock import Clock
from cypher.config import Config, KeyStoreKind
from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import KeyStore, StoredRing
from cypher.errors import KeyStoreRefused, OperatorError, SettingsRefused
from cypher.maintenance.key_identity import note_ring
from cypher.master_password import problems_of


async def move_store(config: Config, kind: KeyStoreKind, path: Path | None, clock: Clock) -> str:
    """Move the store to `kind`, a directory to `path` or else to KEY_STORE_PATH; return what to do next.

    Raises OperatorError, with the store still opening where it was, when it cannot be moved.
    """
    after = _settings_after(config, kind, path)
    source, target = key_store(config), key_store(after)
    # The database may know of an interrupted move already, and refuse the store that is behind.
    copied = await asyncio.to_thread(is_copied, source, target)
    async with resources(after if copied else config, clock) as open_:
        await move_ring(source, target, open_)
    where = "" if kind == "postgres" else f" and KEY_STORE_PATH={target.describe()}"
    return (
        f"The keys are at {target.describe()} now. Set KEY_STORE={kind}{where} for every process of the service\n"
        f"and start it again: one that still looks at {source.describe()} is not ready (keys: false).\n"
        "Backups of the old place, made until now, hold the keys as well."
    )


def is_copied(source: KeyStore, target: KeyStore) -> bool:
    """Tell whether an earlier move has left all of `source` in `target`, or has come to its end."""
    ring, copy = source.read(), target.read()
    return copy is not None and (ring is None or _succeeds(copy, ring))


async def move_ring(source: KeyStore, target: KeyStore, open_: Resources) -> None:
    """Move the ring, from the first step that an earlier move has not made."""
    if await asyncio.to_thread(source.read) is None:
        return
    with ExitStack() as held:
        await asyncio.to_thread(held.enter_context, source.lock())
        ring = await asyncio.to_thread(_copy, source, target, open_)
        note = f"from {source.describe()} to {target.describe()}"
        async with open_.db.transaction() as repos:
            # From now on the source is too old to start with.
            await note_ring(repos.deployment, ring)
            await open_.audit.record(repos, Happening(event=Event.KEY_STORE_MOVED, note=note), None)
        await asyncio.to_thread(source.remove)


def _copy(source: KeyStore, target: KeyStore, open_: Resources) -> KeyRing:
    """Write the ring to `target`, one generation on, unless it is there; return it as it opens there."""
    ring = source.read()
    if ring is None:
        raise KeyStoreRefused(f"The key store at {source.describe()} was moved by another process.")
    target.prepare()
    with target.lock():
        copy = target.read()
        if copy is None or not _succeeds(copy, ring):
            moved = replace(ring, generation=ring.generation + 1)
            if copy is not None and not _succeeds(moved, copy):
                raise KeyStoreRefused(
                    f"The key store at {target.describe()} holds keys that are not in the one at {source.describe()}. "
                    "Find out which of the two is this database's, and take the other one away. Nothing was changed."
                )
            target.write(moved)
            if target.read() != moved:
                raise KeyStoreRefused(
                    f"The key store at {target.describe()} does not hold what was written to it. The keys are still "
                    f"at {source.describe()}."
                )
    return KeyRing.open(target, required_password(open_.config).reveal(), open_.clock)


def _succeeds(newer: StoredRing, older: StoredRing) -> bool:
    """Tell whether `newer` can take the place of `older` without a key being lost."""
    kept = {key.id for key in newer.keys}
    return (
        newer.store_id == older.store_id
        and newer.generation > older.generation
        and kept.issuperset(key.id for key in older.keys)
    )


def _settings_after(config: Config, kind: KeyStoreKind, path: Path | None) -> Config:
    if kind == config.keys.store:
        raise OperatorError(f"KEY_STORE is {kind}: the keys are there already.")
    if kind == "postgres":
        if path is not None:
            raise OperatorError("--path is for --to directory.")
        problems = problems_of(required_password(config).reveal(), beside_the_data=True)
        refused = tuple(f"MASTER_ENCRYPTION_PASSWORD {problem}" for problem in problems)
        if refused:
            raise SettingsRefused(refused)
    elif path is None and config.keys.path is None:
        raise OperatorError("Say which directory the keys are to go to: --path DIRECTORY.")
    return replace(config, keys=replace(config.keys, store=kind, path=path or config.keys.path))
