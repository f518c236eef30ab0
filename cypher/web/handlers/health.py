"""Is the process alive, and may it be sent requests?"""

from http import HTTPStatus
from typing import Literal

from aiohttp import hdrs, web

from cypher.auth.types import Health
from cypher.web.answers import answer
from cypher.web.endpoint import endpoint
from cypher.web.errors import RETRY_AFTER_SECONDS
from cypher.web.keys import DRAINING, SERVICES
from cypher.web.schema import Alive, Readiness


@endpoint(answers={200: Alive})
async def live(request: web.Request) -> web.Response:
    """GET /health/live: whether the process is alive.

    Touches nothing, so that a database that is away restarts no process.
    """
    return answer(Alive())


@endpoint(answers={200: Readiness, 503: Readiness})
async def ready(request: web.Request) -> web.Response:
    """GET /health/ready: whether the service may be sent requests."""
    health = await request.app[SERVICES].health.check()
    status = readiness(health, draining=request.app[DRAINING].announced)
    body = Readiness(
        status=status, postgres=health.postgres, redis=health.redis, migrations=health.migrations, keys=health.keys
    )
    if status != "not ready":
        return answer(body)
    response = answer(body, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER_SECONDS
    return response


def readiness(health: Health, *, draining: bool) -> Literal["ok", "degraded", "not ready"]:
    """Judge: without PostgreSQL, schema or keys nothing works; without Redis sessions still do."""
    if draining or not (health.postgres and health.migrations and health.keys):
        return "not ready"
    return "ok" if health.redis else "degraded"
