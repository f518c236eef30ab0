"""Login in two steps, or three: the second factor ends a re-authentication as well."""

from aiohttp import web

from cypher.auth.begun import LoginOptions
from cypher.auth.opaque import KE1, KE3
from cypher.errors import (
    AccountDisabled,
    AccountLocked,
    FactorLocked,
    FlowExpired,
    InvalidCredentials,
    MalformedOpaqueMessage,
    MfaFailed,
)
from cypher.web.body import read
from cypher.web.encoding import opaque_message
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.proofs import answer_login_started, answer_proof
from cypher.web.schema import (
    Authenticated,
    LoginFinish,
    LoginMfa,
    LoginStart,
    LoginStarted,
    MfaRequired,
    Reauthenticated,
)
from cypher.web.source import source_of


@endpoint(reads=LoginStart, answers={200: LoginStarted}, raises=(MalformedOpaqueMessage,))
async def start(request: web.Request) -> web.Response:
    """POST /v1/login/start: begin a login, for an unknown name too.

    The attempt counts here, since a client knows after KE2 whether its password was right.
    """
    body = await read(request, LoginStart)
    ke1 = opaque_message(body.ke1, KE1)
    started = await request.app[SERVICES].login.start(body.username, ke1, source_of(request), body.device_token)
    return answer_login_started(started)


@endpoint(
    reads=LoginFinish,
    answers={200: Authenticated | MfaRequired},
    raises=(MalformedOpaqueMessage, InvalidCredentials, FlowExpired, AccountDisabled, AccountLocked),
    sets_cookie=(200,),
)
async def finish(request: web.Request) -> web.Response:
    """POST /v1/login/finish: prove the password; a session, or the question for a second factor."""
    body = await read(request, LoginFinish)
    ke3 = opaque_message(body.ke3, KE3)
    options = LoginOptions(device=body.device, refresh_cookie=body.refresh_cookie)
    return answer_proof(
        request, await request.app[SERVICES].login.finish(body.flow_id, ke3, source_of(request), options)
    )


@endpoint(
    reads=LoginMfa,
    answers={200: Authenticated | Reauthenticated},
    raises=(MfaFailed, FactorLocked, FlowExpired, AccountDisabled, AccountLocked),
    sets_cookie=(200,),
)
async def mfa(request: web.Request) -> web.Response:
    """POST /v1/login/mfa: prove the second factor and get the session, or the fresh proof of one."""
    body = await read(request, LoginMfa)
    outcome = await request.app[SERVICES].second_step.finish(
        body.mfa_token, body.method, body.code, source_of(request), trust_device=body.trust_device
    )
    return answer_proof(request, outcome)
