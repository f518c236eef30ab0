"""Recovery of an account whose password is lost. No answer tells whether a name exists or a token is good."""

from aiohttp import web

from cypher.auth.opaque import REGISTRATION_RECORD, REGISTRATION_REQUEST
from cypher.errors import FlowExpired, MalformedOpaqueMessage
from cypher.web.account_schema import RecoveryFinish, RecoveryRequest, RecoveryStart
from cypher.web.answers import accepted, no_content
from cypher.web.body import read
from cypher.web.encoding import opaque_message
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.proofs import answer_new_password
from cypher.web.schema import RegistrationStarted
from cypher.web.source import source_of


@endpoint(reads=RecoveryRequest, answers={202: None})
async def ask(request: web.Request) -> web.Response:
    """POST /v1/recovery/request: ask for a recovery token, which comes by the operator's way; 202 for every name."""
    body = await read(request, RecoveryRequest)
    await request.app[SERVICES].recovery_requests.request(body.username, source_of(request))
    return accepted()


@endpoint(reads=RecoveryStart, answers={200: RegistrationStarted}, raises=(MalformedOpaqueMessage,))
async def start(request: web.Request) -> web.Response:
    """POST /v1/recovery/start: begin to set a password by a recovery token; the same answer for every token."""
    body = await read(request, RecoveryStart)
    message = opaque_message(body.registration_request, REGISTRATION_REQUEST)
    return answer_new_password(await request.app[SERVICES].recovery.start(body.username, body.recovery_token, message))


@endpoint(reads=RecoveryFinish, answers={204: None}, raises=(MalformedOpaqueMessage, FlowExpired))
async def finish(request: web.Request) -> web.Response:
    """POST /v1/recovery/finish: hand in the record. The token is used up, every session ends.

    410 for whatever is wrong. The second factor is still asked for at the next login.
    """
    body = await read(request, RecoveryFinish)
    record = opaque_message(body.registration_record, REGISTRATION_RECORD)
    await request.app[SERVICES].recovery.finish(body.flow_id, record, source_of(request))
    return no_content()
