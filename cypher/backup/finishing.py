"""Ends what a backup brings back to life, and only then lets the database be served.

The key store begins a new epoch first, which refuses every start; the database is of it when everything is ended, in
the same transaction. Whatever interrupts this, nothing is served, and the same command begins it anew.
"""

from datetime import datetime

import msgspec

from cypher.app import Resources, restored_resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.auth.totp import newest_step
from cypher.clock import Clock
from cypher.config import Config
from cypher.maintenance.key_identity import note_ring
from cypher.maintenance.sealing import Sealer
from cypher.repositories.backups import EndedByRestore


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was ended. What happened after `newest_entry_at` is undone: changes of passwords, deletions, locks."""

    ended: EndedByRestore
    newest_entry_at: datetime | None
    epoch: str
    unsealed: int  #: entries of the trail that the service will seal when it runs


async def finish_restore(config: Config, clock: Clock) -> Restored:
    """End everything and begin a new epoch. Raises OperatorError, and nobody is served, when that cannot be done."""
    async with restored_resources(config, clock) as open_:
        sealer = Sealer(db=open_.upkeep, ring=open_.ring, clock=clock)
        async with open_.upkeep.transaction() as repos:
            await repos.audit.make_partitions()  # a backup of long ago has none for today
            await repos.backups.close_functions()
            newest = await repos.backups.get_newest_moment()
        await sealer.seal()
        ended = await _end(open_, newest)
        await sealer.seal()
        async with open_.upkeep.connection() as repos:
            lag = await repos.audit_seals.get_lag()
        return Restored(ended=ended, newest_entry_at=newest, epoch=open_.ring.epoch, unsealed=lag.entries)


async def _end(open_: Resources, newest: datetime | None) -> EndedByRestore:
    async with open_.upkeep.transaction() as repos:
        ended = await repos.backups.end_all(newest_step(open_.clock.now()))
        note = f"of {newest:%Y-%m-%d %H:%M:%S} UTC; ended: {_written(ended)}" if newest else _written(ended)
        await open_.audit.record(repos, Happening(event=Event.BACKUP_RESTORED, note=note), None)
        await note_ring(repos.deployment, open_.ring)
        await repos.deployment.set_epoch(open_.ring.epoch)
    return ended


def _written(ended: EndedByRestore) -> str:
    counts: dict[str, int] = msgspec.to_builtins(ended)
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
