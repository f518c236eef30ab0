"""What follows when somebody's second factor is another one, or gone; and the operator's way to take it away."""

from uuid import UUID

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.source import Source
from cypher.errors import NotFound
from cypher.postgres import Database
from cypher.repositories import Repositories


async def factor_changed(repos: Repositories, audit: Audit, happening: Happening, source: Source | None) -> None:
    """Record a change that was made in this transaction; what stands in for the factor ends with it: trust in devices.

    Sessions go on: they say by `aal` what was proven, and their owner can end the others (`DELETE /v1/sessions`). The
    person's row is held.
    """
    if happening.user_id is not None:
        await repos.devices.end_trust(happening.user_id)
    await audit.record(repos, happening, source)


class FactorReset:
    """For a lost telephone, or a factor that too many wrong codes have disabled."""

    def __init__(self, *, db: Database[Repositories], audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def reset(self, user_id: UUID, source: Source | None = None) -> None:
        """Take away factor, recovery codes and all counted failures; raises NotFound for an unknown person.

        From now on the password alone opens the account, until its owner enrols again.
        """
        async with self._db.transaction() as repos:
            if not await repos.users.hold_user(user_id):
                raise NotFound
            await repos.factors.remove_factors(user_id)
            await repos.factors.delete_failures(user_id)
            await factor_changed(repos, self._audit, Happening(event=Event.FACTORS_RESET, user_id=user_id), source)
