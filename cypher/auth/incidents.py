"""What an operator should look at: recorded best effort, while the request ends as it must."""

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.source import Source
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Database
from cypher.repositories import Repositories


class Incidents:
    """Takes reports from the layer above."""

    def __init__(self, *, db: Database[Repositories], audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def report_unopened(self, error: FieldDoesNotOpen, source: Source) -> None:
        """Record that a cell did not open: moved, edited, or its key is gone."""
        happening = Happening(event=Event.FIELD_OPEN_FAILED, outcome=Outcome.FAILURE, note=error.where)
        await self._audit.record_failure(self._db, happening, source)
