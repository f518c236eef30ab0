"""What keeps the audit trail while a service runs: wired here, beside `app`, and run by `serving`."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass

from cypher.app import Resources
from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.checkpoint_sinks import sink_of
from cypher.errors import CypherError
from cypher.maintenance import checkpoints, retention, sealing
from cypher.maintenance.checkpoints import Checkpoints
from cypher.maintenance.housekeeping import repeat
from cypher.maintenance.retention import Retention
from cypher.maintenance.sealing import Sealer

logger = logging.getLogger("cypher.audit")

#: Failures wait for so long, so that the same ones are counted together.
FLUSH_SECONDS = 1.0
#: How long an instance that stops tries to leave the trail written, sealed and published.
FINISH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailKeeping:
    """One instance's part: it flushes, seals, publishes checkpoints and lets old months go."""

    open: Resources
    sealer: Sealer
    checkpoints: Checkpoints
    retention: Retention

    @classmethod
    def over(cls, open_: Resources) -> "TrailKeeping":
        """Wire it; raises OperatorError for checkpoints that cannot be written."""
        return cls(
            open=open_,
            sealer=Sealer(db=open_.upkeep, ring=open_.ring, clock=open_.clock),
            checkpoints=Checkpoints(open_.ring, open_.clock, sink_of(open_.config.audit.checkpoint)),
            retention=Retention(db=open_.upkeep, ring=open_.ring, audit=open_.audit, clock=open_.clock),
        )

    async def start(self) -> None:
        """Say what an operator should know, and record that an instance has started."""
        config = self.open.config.audit
        if config.checkpoint is None:
            logger.warning(
                "AUDIT_CHECKPOINT is off: whoever can write to the database can cut off the end of the audit trail "
                "unseen. Set it to a file, stdout or a webhook."
            )
        async with self.open.db.connection() as repos:
            days = await repos.audit.get_retention_days()
        if days != config.retention_days:
            logger.warning(
                "The database keeps the audit trail for %d days, and AUDIT_RETENTION_DAYS is %d. `cypher migrate` "
                "brings it over.",
                days,
                config.retention_days,
            )
        self.open.audit.record_failure(Happening(event=Event.INSTANCE_STARTED, by_itself=True), None)

    def work(self) -> Iterator[Coroutine[None, None, None]]:
        """What goes on beside the requests."""
        yield repeat(self._flush, pause=FLUSH_SECONDS)
        yield repeat(self.sealer.seal, pause=sealing.PAUSE_SECONDS)
        yield repeat(self._publish, pause=checkpoints.PAUSE_SECONDS)
        yield repeat(self.retention.keep, pause=retention.PAUSE_SECONDS)

    async def finish(self) -> None:
        """Leave nothing behind that is not written, sealed and published, as far as that can be done now."""
        self.open.audit.record_failure(Happening(event=Event.INSTANCE_STOPPED, by_itself=True), None)
        try:
            # A statement of upkeep may take minutes; the end of an instance may not.
            async with asyncio.timeout(FINISH_SECONDS):
                await self._flush()
                await self.sealer.seal()
                await self._publish()
        except (CypherError, TimeoutError) as exc:
            logger.warning("the end of the audit trail is sealed by the next instance: %s", type(exc).__qualname__)

    async def _flush(self) -> None:
        await self.open.audit.flush(self.open.db)

    async def _publish(self) -> None:
        await self.checkpoints.publish(self.sealer.last)
