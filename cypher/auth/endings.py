"""The end of many sessions of one person: in the transaction of what ends them, and then, by its caller, in Redis."""

from dataclasses import dataclass
from uuid import UUID

from cypher.repositories import Repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What was ended, and what must be buried after the commit."""

    count: int
    to_bury: frozenset[UUID]  #: more than were ended: also those that ended a moment ago


NOTHING_ENDED = Ended(count=0, to_bury=frozenset())


async def end_sessions(repos: Repositories, user_id: UUID, *, keep: UUID | None, reason: str) -> Ended:
    """End a person's living sessions, all or all but one. Hold the person's row before.

    Those that ended a moment ago are to be buried again: whoever asks once more, since Redis was away the first time,
    completes what was left undone.
    """
    ended = await repos.sessions.revoke_sessions(user_id, keep=keep, reason=reason)
    recently = await repos.sessions.list_recently_revoked(user_id)
    return Ended(count=len(ended), to_bury=frozenset({*ended, *recently}))


async def erase(repos: Repositories, user_id: UUID) -> Ended:
    """Delete a person and all that is kept of them. Hold the person's row before.

    Whatever must go with a person beyond what foreign keys see to goes here.
    """
    ended = await end_sessions(repos, user_id, keep=None, reason="deleted")
    await repos.accounts.delete_person(user_id)
    return ended
