"""What an operator should look at: recorded best effort, while the request ends as it must."""

from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.source import Source
from cypher.errors import FieldDoesNotOpen


class Incidents:
    """Takes reports from the layer above."""

    def __init__(self, *, audit: Audit) -> None:
        self._audit = audit

    def report_unopened(self, error: FieldDoesNotOpen, source: Source) -> None:
        """Record that a cell did not open: moved, edited, or its key is gone."""
        happening = Happening(event=Event.FIELD_OPEN_FAILED, outcome=Outcome.FAILURE, note=error.where, by_itself=True)
        self._audit.record_failure(happening, source)
