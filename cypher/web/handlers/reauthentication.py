"""Re-authentication in two steps, on the session at hand."""

from aiohttp import web

from cypher.auth.opaque import KE1, KE3
from cypher.errors import AccountDisabled, AccountLocked, FlowExpired, InvalidCredentials, MalformedOpaqueMessage
from cypher.web.body import read
from cypher.web.encoding import opaque_message
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.proofs import answer_login_started, answer_proof
from cypher.web.schema import LoginStarted, MfaRequired, Reauthenticated, ReauthenticationFinish, ReauthenticationStart
from cypher.web.source import bearer_of, source_of


@endpoint(reads=ReauthenticationStart, answers={200: LoginStarted}, raises=(MalformedOpaqueMessage,))
async def start(request: web.Request) -> web.Response:
    """POST /v1/reauthentication/start: begin to prove the password again. The attempt counts as one to log in."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    ke1 = opaque_message((await read(request, ReauthenticationStart)).ke1, KE1)
    started = await services.reauthentication.start(validated.session, ke1, source_of(request))
    return answer_login_started(started)


@endpoint(
    reads=ReauthenticationFinish,
    answers={200: Reauthenticated | MfaRequired},
    raises=(MalformedOpaqueMessage, InvalidCredentials, FlowExpired, AccountDisabled, AccountLocked),
)
async def finish(request: web.Request) -> web.Response:
    """POST /v1/reauthentication/finish: make the session at hand fresh, or be asked for the second factor."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    body = await read(request, ReauthenticationFinish)
    ke3 = opaque_message(body.ke3, KE3)
    outcome = await services.reauthentication.finish(validated.session, body.flow_id, ke3, source_of(request))
    return answer_proof(request, outcome)
