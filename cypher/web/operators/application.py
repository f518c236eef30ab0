"""Puts the operators' routes, the guard and what both use together into one application."""

from dataclasses import replace

from aiohttp import web

from cypher.auth.use_cases import Services
from cypher.config import Config
from cypher.maintenance.operations import Operations
from cypher.web.draining import Draining
from cypher.web.keys import DOCUMENT, DRAINING, HTTP, METRICS, OPERATIONS, PAGE, SERVICES
from cypher.web.middlewares import frame
from cypher.web.openapi.describe import describe
from cypher.web.openapi.publish import published
from cypher.web.operators.guard import guarded
from cypher.web.operators.routes import ROUTES
from cypher.web.routes import serve_table

TITLE = "Cypher for operators"
DESCRIPTION = """\
What operators do to a running service: each answer is the object that the matching command's `--json` prints.

Every route under `/admin/v1` asks for `Authorization: Bearer` with a service token that has one of the scopes named \
there; `cypher tokens create` makes one and shows it once. No route sets or shows a password, a secret or a token but \
those that are made for an operator once. Pages in browsers cannot call.

JSON in UTF-8; unknown fields are ignored. Times are RFC 3339 in UTC. Every answer carries `X-Request-Id`. HEAD goes \
with GET. Errors are problems of RFC 9457, whose `code` is stable."""


def make_operators_app(services: Services, operations: Operations, config: Config) -> web.Application:
    """Build the operators' application over what somebody else opens and closes."""
    app = web.Application(middlewares=[frame, guarded])
    app[SERVICES] = services
    app[OPERATIONS] = operations
    # Pages of no origin may call here, whatever ALLOWED_ORIGINS says.
    app[HTTP] = replace(config.http, allowed_origins=frozenset())
    app[DRAINING] = Draining()
    app[METRICS] = services.metrics
    app[DOCUMENT], app[PAGE] = published(describe(ROUTES, title=TITLE, about=DESCRIPTION))
    serve_table(app, ROUTES)
    return app
