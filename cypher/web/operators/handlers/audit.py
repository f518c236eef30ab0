"""The audit trail: read it, take it elsewhere, prove it. Whoever does is in the trail, before anything is shown."""

from aiohttp import web

from cypher.auth.entries import EntryPage
from cypher.auth.trail import Reader
from cypher.errors import NotFound
from cypher.maintenance.checkpoints import Checkpoint
from cypher.maintenance.proof import export_lines
from cypher.maintenance.verification import Verified
from cypher.web.answers import answer
from cypher.web.body import read_query
from cypher.web.endpoint import Media, endpoint
from cypher.web.keys import OPERATIONS
from cypher.web.operators.schema import TrailPage, TrailQuery
from cypher.web.source import source_of
from cypher.web.streams import NDJSON, stream


@endpoint(query=TrailPage, answers={200: EntryPage})
async def list_page(request: web.Request) -> web.Response:
    """GET /admin/v1/audit: entries, newest first."""
    page = read_query(request, TrailPage)
    trail = request.app[OPERATIONS].trail
    return answer(await trail.list_entries(page.asked(), _reader(request), cursor=page.cursor, limit=page.limit))


@endpoint(query=TrailQuery, answers={200: Media(NDJSON)})
async def export(request: web.Request) -> web.StreamResponse:
    """GET /admin/v1/audit/export: one JSON object a line.

    Without a filter the whole trail with its seals and public keys, which `cypher audit verify --export` checks; its
    last line says so. With one, the entries as in `GET /admin/v1/audit`. An answer that breaks off is not whole.
    """
    query, operations = read_query(request, TrailQuery).asked(), request.app[OPERATIONS]
    return await stream(request, export_lines(operations.trail, operations.proof, query, _reader(request)))


@endpoint(answers={200: Verified})
async def verify(request: web.Request) -> web.Response:
    """POST /admin/v1/audit/verify: prove that nothing was edited, deleted, reordered, cut or rewritten.

    `finding` is null, or names the first place at which the trail does not hold. Only checkpoints that left the machine
    show that nothing was cut off at the end: `cypher audit verify --checkpoint`.
    """
    return answer(await request.app[OPERATIONS].proof.verify(_reader(request)))


@endpoint(answers={200: Checkpoint}, raises=(NotFound,))
async def checkpoint(request: web.Request) -> web.Response:
    """GET /admin/v1/audit/checkpoint: a signed checkpoint of the trail as it is now; 404 while nothing is sealed."""
    made = await request.app[OPERATIONS].proof.checkpoint()
    if made is None:
        raise NotFound
    return answer(made)


def _reader(request: web.Request) -> Reader:
    return Reader(source=source_of(request))
