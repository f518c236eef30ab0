"""A person's sessions: the one at hand, the list, ending them."""

import re
from typing import Literal
from uuid import UUID

import msgspec
from aiohttp import web

from cypher.auth.types import ListedSession
from cypher.errors import FieldError, NotFound, ValidationFailed
from cypher.web.answers import answer, no_content
from cypher.web.keys import SERVICES
from cypher.web.schema import Revoked, SessionItem, SessionList
from cypher.web.source import bearer_of, source_of

#: Only the form that we write ourselves: Python's reader also takes braces, "urn:uuid:" and no hyphens at all.
UUID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


async def show(request: web.Request) -> web.Response:
    """GET /v1/session: the hot path."""
    validated = await request.app[SERVICES].sessions.validate(bearer_of(request))
    return answer(validated.session)


async def end_current(request: web.Request) -> web.Response:
    """DELETE /v1/session."""
    await request.app[SERVICES].sessions.end_current(bearer_of(request), source_of(request))
    return no_content()


async def list_all(request: web.Request) -> web.Response:
    """GET /v1/sessions."""
    sessions = request.app[SERVICES].sessions
    validated = await sessions.validate(bearer_of(request))
    return answer(SessionList(items=[_item(listed) for listed in await sessions.list_sessions(validated)]))


async def end(request: web.Request) -> web.Response:
    """DELETE /v1/sessions/{id}."""
    sessions = request.app[SERVICES].sessions
    validated = await sessions.validate(bearer_of(request))
    await sessions.end(validated, _session_id(request), source_of(request))
    return no_content()


async def end_many(request: web.Request) -> web.Response:
    """DELETE /v1/sessions?scope=others|all."""
    sessions = request.app[SERVICES].sessions
    validated = await sessions.validate(bearer_of(request))
    return answer(Revoked(revoked=await sessions.end_many(validated, _scope(request), source_of(request))))


def _session_id(request: web.Request) -> UUID:
    text = request.match_info["id"]
    if not UUID_FORM.fullmatch(text):
        raise NotFound
    return UUID(text)


def _scope(request: web.Request) -> Literal["others", "all"]:
    match request.query.getall("scope", []):
        case ["others"]:
            return "others"
        case ["all"]:
            return "all"
        case sent:
            raise ValidationFailed([FieldError("/scope", "invalid" if sent else "missing")])


def _item(listed: ListedSession) -> SessionItem:
    return SessionItem(
        **msgspec.structs.asdict(listed.session),
        current=listed.current,
        last_seen_at=listed.last_seen_at,
        ip_address=listed.ip_address,
        user_agent=listed.user_agent,
    )
