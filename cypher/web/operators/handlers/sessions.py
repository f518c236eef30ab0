"""What an operator does about sessions. From where somebody came is shown to its owner only."""

from aiohttp import web

from cypher.auth.session_review import ReviewedSessions, Revocation
from cypher.errors import NotFound
from cypher.web.answers import answer
from cypher.web.body import read
from cypher.web.endpoint import endpoint
from cypher.web.identifiers import id_in_path
from cypher.web.keys import OPERATIONS
from cypher.web.operators.schema import RevocationOrder
from cypher.web.source import source_of


@endpoint(answers={200: ReviewedSessions})
async def list_of(request: web.Request) -> web.Response:
    """GET /admin/v1/users/{id}/sessions: the newest hundred sessions of somebody."""
    return answer(await request.app[OPERATIONS].sessions.list_sessions(id_in_path(request)))


@endpoint(answers={200: Revocation})
async def end_of(request: web.Request) -> web.Response:
    """DELETE /admin/v1/users/{id}/sessions: end every session of somebody on every instance now."""
    return answer(await request.app[OPERATIONS].sessions.revoke_of(id_in_path(request), source=source_of(request)))


@endpoint(reads=RevocationOrder, answers={200: Revocation}, raises=(NotFound,))
async def end_many(request: web.Request) -> web.Response:
    """POST /admin/v1/sessions/revoke: end all sessions that match, of everybody or of somebody, or only count them.

    They end in batches; should this be broken off, asked again it goes on.
    """
    order = await read(request, RevocationOrder)
    which = order.filter
    revocation = await request.app[OPERATIONS].sessions.revoke_matching(
        user_id=which.user_id,
        aal=which.aal,
        created_before=which.created_before,
        seen_before=which.seen_before,
        dry_run=order.dry_run,
        source=source_of(request),
    )
    return answer(revocation)
