"""Moving every sealed value to the active data key, beside live traffic."""

from http import HTTPStatus

from aiohttp import web

from cypher.maintenance.asked_reencryption import ReencryptionStatus
from cypher.web.answers import answer
from cypher.web.body import read
from cypher.web.endpoint import endpoint
from cypher.web.keys import OPERATIONS
from cypher.web.operators.schema import ReencryptionPace
from cypher.web.source import source_of


@endpoint(answers={200: ReencryptionStatus})
async def show(request: web.Request) -> web.Response:
    """GET /admin/v1/reencryption: how many values are still to be moved, and whether the service moves them.

    Reads whole tables, so it may take its time.
    """
    return answer(await request.app[OPERATIONS].reencryption.status())


@endpoint(reads=ReencryptionPace, answers={202: ReencryptionStatus})
async def start(request: web.Request) -> web.Response:
    """POST /admin/v1/reencryption: begin to move them in this process.

    Asked again while it goes on, nothing is begun. It goes beside the re-encryption that the service does by itself.
    """
    body = await read(request, ReencryptionPace)
    reencryption = request.app[OPERATIONS].reencryption
    await reencryption.start(body.rate, source_of(request))
    return answer(await reencryption.status(), status=HTTPStatus.ACCEPTED)
