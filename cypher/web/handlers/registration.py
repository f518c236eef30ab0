"""Registration in two steps."""

from http import HTTPStatus

from aiohttp import web

from cypher.auth.opaque import REGISTRATION_RECORD, REGISTRATION_REQUEST
from cypher.errors import FlowExpired, MalformedOpaqueMessage, RegistrationClosed, UsernameTaken
from cypher.web.answers import answer
from cypher.web.body import read
from cypher.web.encoding import opaque_message
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.proofs import answer_new_password
from cypher.web.schema import Registered, RegisteredUser, RegistrationFinish, RegistrationStart, RegistrationStarted
from cypher.web.source import source_of


@endpoint(
    reads=RegistrationStart,
    answers={200: RegistrationStarted},
    raises=(MalformedOpaqueMessage, RegistrationClosed),
)
async def start(request: web.Request) -> web.Response:
    """POST /v1/registration/start: begin a registration; the same answer whether or not the name is taken."""
    body = await read(request, RegistrationStart)
    message = opaque_message(body.registration_request, REGISTRATION_REQUEST)
    started = await request.app[SERVICES].registration.start(body.username, message, source_of(request))
    return answer_new_password(started)


@endpoint(
    reads=RegistrationFinish,
    answers={201: Registered},
    raises=(MalformedOpaqueMessage, UsernameTaken, FlowExpired),
)
async def finish(request: web.Request) -> web.Response:
    """POST /v1/registration/finish: hand in the record; asked again with the same flow, the same answer."""
    body = await read(request, RegistrationFinish)
    record = opaque_message(body.registration_record, REGISTRATION_RECORD)
    user = await request.app[SERVICES].registration.finish(body.flow_id, record, source_of(request))
    registered = RegisteredUser(id=user.id, username=user.username, created_at=user.created_at)
    return answer(Registered(user=registered), status=HTTPStatus.CREATED)
