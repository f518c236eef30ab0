"""What is answered before there is anything to serve with: alive, not ready, and 503 for everything else.

Nothing of it touches a key, a row or a session.
"""

from http import HTTPStatus
from typing import NoReturn

from aiohttp import hdrs, web

from cypher.config import Config
from cypher.errors import PostgresUnavailable
from cypher.metrics import Metrics
from cypher.web.answers import answer
from cypher.web.draining import Draining
from cypher.web.errors import RETRY_AFTER_SECONDS
from cypher.web.handlers import health
from cypher.web.keys import DRAINING, HTTP, METRICS
from cypher.web.middlewares import frame
from cypher.web.routes import TABLE
from cypher.web.schema import Readiness


def make_waiting_app(config: Config) -> web.Application:
    """Build the application of a service that waits for PostgreSQL, for either listener."""
    app = web.Application(middlewares=[frame])
    app[HTTP] = config.http
    app[DRAINING] = Draining()
    app[METRICS] = Metrics()  # which nobody asks for: what serves afterwards begins anew
    app[TABLE] = {}
    app.router.add_get("/health/live", health.live.handle)
    app.router.add_get("/health/ready", _not_ready)
    app.router.add_route("*", "/{any:.*}", _unavailable)
    return app


async def _not_ready(_: web.Request) -> web.Response:
    # Without PostgreSQL nothing else has been looked at, and nothing is claimed.
    body = Readiness(status="not ready", postgres=False, redis=False, migrations=False, keys=False)
    response = answer(body, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER_SECONDS
    return response


async def _unavailable(_: web.Request) -> NoReturn:
    raise PostgresUnavailable
