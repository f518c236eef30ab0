"""A person's sessions: the one at hand, the list, ending them."""

import msgspec
from aiohttp import web

from cypher.auth.types import ListedSession, SessionView
from cypher.web import refresh_cookie
from cypher.web.answers import answer, no_content
from cypher.web.body import read_query
from cypher.web.endpoint import endpoint
from cypher.web.identifiers import id_in_path
from cypher.web.keys import SERVICES
from cypher.web.schema import Revoked, SessionItem, SessionList, SessionsToEnd
from cypher.web.source import bearer_of, source_of


@endpoint(answers={200: SessionView})
async def show(request: web.Request) -> web.Response:
    """GET /v1/session: the session of this token, if it still holds."""
    validated = await request.app[SERVICES].sessions.validate(bearer_of(request))
    return answer(validated.session)


@endpoint(answers={204: None}, sets_cookie=(204,))
async def end_current(request: web.Request) -> web.Response:
    """DELETE /v1/session: end this session now, on every instance."""
    await request.app[SERVICES].sessions.end_current(bearer_of(request), source_of(request))
    response = no_content()
    # Browsers send it to /oauth/token only: whether there is one cannot be seen here.
    if refresh_cookie.may_be_given(request):
        refresh_cookie.clear(response)
    return response


@endpoint(answers={200: SessionList})
async def list_all(request: web.Request) -> web.Response:
    """GET /v1/sessions: the newest hundred sessions of this person."""
    sessions = request.app[SERVICES].sessions
    validated = await sessions.validate(bearer_of(request))
    return answer(SessionList(items=[_item(listed) for listed in await sessions.list_sessions(validated)]))


@endpoint(answers={204: None})
async def end(request: web.Request) -> web.Response:
    """DELETE /v1/sessions/{id}: end one session of this person."""
    sessions = request.app[SERVICES].sessions
    validated = await sessions.validate(bearer_of(request))
    await sessions.end(validated, id_in_path(request), source_of(request))
    return no_content()


@endpoint(query=SessionsToEnd, answers={200: Revoked})
async def end_many(request: web.Request) -> web.Response:
    """DELETE /v1/sessions: end all sessions of this person, or all but this one."""
    sessions = request.app[SERVICES].sessions
    validated = await sessions.validate(bearer_of(request))
    scope = read_query(request, SessionsToEnd).scope
    return answer(Revoked(revoked=await sessions.end_many(validated, scope, source_of(request))))


def _item(listed: ListedSession) -> SessionItem:
    return SessionItem(
        **msgspec.structs.asdict(listed.session),
        current=listed.current,
        last_seen_at=listed.last_seen_at,
        ip_address=listed.ip_address,
        user_agent=listed.user_agent,
    )
