"""Limits on attempts, and who has used them up. Identifiers are keyed in Redis: only who is named can be shown."""

from aiohttp import web
from msgspec import UNSET

from cypher.auth.limit_review import CountedCategories, CountedSubject, ResetSubject
from cypher.errors import FieldError, NotFound, ValidationFailed
from cypher.web.answers import answer
from cypher.web.body import read_query
from cypher.web.endpoint import endpoint
from cypher.web.keys import OPERATIONS
from cypher.web.operators.schema import LimitQuery, SubjectQuery
from cypher.web.source import source_of


@endpoint(query=LimitQuery, answers={200: CountedCategories | CountedSubject}, raises=(NotFound,))
async def show(request: web.Request) -> web.Response:
    """GET /admin/v1/rate-limits: the limits and how many are counted, or with a query how one subject stands."""
    limits, query = request.app[OPERATIONS].limits, read_query(request, LimitQuery)
    if query.category is UNSET and query.identifier is UNSET:
        return answer(await limits.list_categories())
    if query.category is UNSET or query.identifier is UNSET:
        raise ValidationFailed([FieldError("/category" if query.category is UNSET else "/identifier", "missing")])
    return answer(await limits.show(query.category, query.identifier))


@endpoint(query=SubjectQuery, answers={200: ResetSubject})
async def reset(request: web.Request) -> web.Response:
    """DELETE /admin/v1/rate-limits: forget what was counted of one subject."""
    query = read_query(request, SubjectQuery)
    return answer(await request.app[OPERATIONS].limits.reset(query.category, query.identifier, source_of(request)))
