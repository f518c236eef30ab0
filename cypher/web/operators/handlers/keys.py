"""The keys that seal the data: what there is, the next one, the end of an old one."""

from http import HTTPStatus

from aiohttp import web

from cypher.maintenance.key_custody import KeyList, KeyView
from cypher.maintenance.retirement import Destroyed
from cypher.operator_errors import KeyInUse, KeyPending
from cypher.web.answers import answer
from cypher.web.body import read
from cypher.web.endpoint import endpoint
from cypher.web.keys import OPERATIONS
from cypher.web.operators.schema import KeyRotation
from cypher.web.source import source_of


@endpoint(answers={200: KeyList})
async def list_all(request: web.Request) -> web.Response:
    """GET /admin/v1/keys: every key and what hangs on it, never what it is made of.

    Reads whole tables, so it may take its time.
    """
    return answer(await request.app[OPERATIONS].keys.list_keys())


@endpoint(reads=KeyRotation, answers={201: KeyView}, raises=(KeyPending,))
async def rotate(request: web.Request) -> web.Response:
    """POST /admin/v1/keys/rotate: make a new key for what is written from now on.

    Older rows go on opening with theirs.
    """
    body = await read(request, KeyRotation)
    made = await request.app[OPERATIONS].keys.rotate(body.purpose, body.algorithm, source_of(request))
    return answer(made, status=HTTPStatus.CREATED)


@endpoint(answers={200: Destroyed}, raises=(KeyInUse,))
async def destroy(request: web.Request) -> web.Response:
    """POST /admin/v1/keys/{key_id}/destroy: destroy a key on which nothing hangs any more.

    It is counted twice, before and after the key is taken from sealing. Backups of the key store still hold it.
    """
    return answer(await request.app[OPERATIONS].keys.destroy(request.match_info["key_id"], source_of(request)))
