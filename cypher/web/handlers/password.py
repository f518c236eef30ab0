"""Another password in two steps, on a session that was proven lately."""

from aiohttp import web

from cypher.auth.opaque import REGISTRATION_RECORD, REGISTRATION_REQUEST
from cypher.errors import FlowExpired, MalformedOpaqueMessage
from cypher.web.account_schema import PasswordFinish, PasswordStart
from cypher.web.answers import no_content
from cypher.web.body import read
from cypher.web.encoding import opaque_message
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.proofs import answer_new_password
from cypher.web.schema import RegistrationStarted
from cypher.web.source import bearer_of, source_of


@endpoint(reads=PasswordStart, answers={200: RegistrationStarted}, raises=(MalformedOpaqueMessage,))
async def start(request: web.Request) -> web.Response:
    """POST /v1/password/start: begin to set another password."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    message = opaque_message((await read(request, PasswordStart)).registration_request, REGISTRATION_REQUEST)
    return answer_new_password(await services.password.start(validated.session, message))


@endpoint(reads=PasswordFinish, answers={204: None}, raises=(MalformedOpaqueMessage, FlowExpired))
async def finish(request: web.Request) -> web.Response:
    """POST /v1/password/finish: hand in the record; this session goes on, the others end unless they are to go on.

    A flow works once: whoever does not get the answer logs in with the new password to see whether it is the password.
    """
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    body = await read(request, PasswordFinish)
    record = opaque_message(body.registration_record, REGISTRATION_RECORD)
    await services.password.finish(
        validated.session,
        body.flow_id,
        record,
        revoke_others=body.revoke_other_sessions,
        source=source_of(request),
    )
    return no_content()
