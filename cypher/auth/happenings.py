"""What happened, before it is an entry of the audit trail."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from cypher.auth.events import ALARMING, UNPROVEN, ActorType, Event, Outcome, Severity
from cypher.auth.source import Source

#: What is longer is cut: a field must fit its column, and nobody may fill the trail with one request.
LONGEST_NOTE = 1000
LONGEST_NAME = 255
LONGEST_AGENT = 512
LONGEST_WORD = 64


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What identifies a person in an entry; sealed in the row."""

    address: str | None = None
    user_agent: str | None = None
    username: str | None = None
    note: str | None = None
    count: int = 1  #: how often it happened, of what was counted together
    last_at: datetime | None = None  #: when it happened last, likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it; an operator's `id` is that of the service token."""

    type: ActorType
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event before it is an entry."""

    event: Event
    outcome: Outcome = Outcome.SUCCESS
    reason: str | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None
    username: str | None = None  #: sealed beside a `user_id`; a name without one is only indexed
    note: str | None = None
    by_itself: bool = False  #: nobody asked for it: the service did what was due
    actor: Actor | None = None  #: where it is neither the subject, a stranger, the command line nor the service


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The same thing, once or more often; `source` is where it came from first."""

    happening: Happening
    source: Source | None
    first_at: datetime
    last_at: datetime
    count: int = 1

    def actor(self) -> Actor:
        """Return who did it."""
        happening = self.happening
        if happening.actor is not None:
            return happening.actor
        if happening.by_itself:
            return Actor(type=ActorType.SERVICE)
        if self.source is None:
            return Actor(type=ActorType.OPERATOR)
        if self.source.operator is not None:
            return Actor(type=ActorType.OPERATOR, id=str(self.source.operator))
        if happening.user_id is None or happening.event in UNPROVEN:
            return Actor(type=ActorType.STRANGER)
        return Actor(type=ActorType.USER, id=str(happening.user_id))

    def severity(self) -> Severity:
        """Return who should look at it."""
        if self.happening.event in ALARMING:
            return Severity.ALERT
        return Severity.INFO if self.happening.outcome is Outcome.SUCCESS else Severity.WARNING

    def details(self) -> Details:
        """Return what is sealed. A name that nobody has is not in it: it may be a password, typed a line too early."""
        happening, source = self.happening, self.source
        known = happening.user_id is not None
        return Details(
            address=source.address if source else None,
            user_agent=source.user_agent[:LONGEST_AGENT] if source else None,
            username=happening.username[:LONGEST_NAME] if happening.username and known else None,
            note=happening.note[:LONGEST_NOTE] if happening.note else None,
            count=self.count,
            last_at=self.last_at if self.count > 1 else None,
        )


def word(text: str | None) -> str | None:
    """Return a text as it may stand in a clear column: short, and without what no terminal or database takes."""
    if text is None or (len(text) <= LONGEST_WORD and text.isprintable()):
        return text
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:LONGEST_WORD])
