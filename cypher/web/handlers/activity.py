"""What the audit trail says of a person, for that person."""

from aiohttp import web

from cypher.auth.entries import EntryView
from cypher.auth.happenings import Details
from cypher.web.account_schema import ActivityItem, ActivityList, ActivityPage
from cypher.web.answers import answer
from cypher.web.body import read_query
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.source import bearer_of, source_of

#: Of an entry whose details do not open.
UNKNOWN = Details()


@endpoint(query=ActivityPage, answers={200: ActivityList})
async def list_page(request: web.Request) -> web.Response:
    """GET /v1/account/activity: what this person did and what was tried under their name, newest first."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    asked = read_query(request, ActivityPage)
    page = await services.activity.list_entries(
        validated.session, cursor=asked.cursor, limit=asked.limit, source=source_of(request)
    )
    return answer(ActivityList(items=[_item(entry) for entry in page.items], next_cursor=page.next_cursor))


def _item(entry: EntryView) -> ActivityItem:
    details = entry.details or UNKNOWN
    return ActivityItem(
        id=entry.id,
        occurred_at=entry.occurred_at,
        action=entry.action,
        outcome=entry.outcome,
        reason=entry.reason,
        actor=entry.actor.type,
        session_id=entry.session_id,
        address=details.address,
        user_agent=details.user_agent,
        count=details.count,
    )
