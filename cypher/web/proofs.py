"""What a proof comes to, as an answer: a new session, the same session again, or the question for a second factor.

And what a password begins with that is to be proven later.
"""

from aiohttp import web
from msgspec import UNSET

from cypher.auth import types
from cypher.web import refresh_cookie
from cypher.web.answers import answer
from cypher.web.encoding import to_base64url
from cypher.web.schema import Authenticated, LoginStarted, MfaRequired, Reauthenticated, RegistrationStarted


def answer_proof(
    request: web.Request, outcome: types.Authenticated | types.Reauthenticated | types.MfaRequired
) -> web.Response:
    """Answer 200 with the object that belongs to the outcome."""
    match outcome:
        case types.MfaRequired():
            return answer(MfaRequired(mfa_token=outcome.mfa_token, expires_in=outcome.expires_in))
        case types.Reauthenticated():
            return answer(
                Reauthenticated(
                    session=outcome.session, access_token=outcome.access_token, expires_in=outcome.expires_in
                )
            )
        case types.Authenticated():
            return _answer_session(outcome, in_cookie=outcome.refresh_cookie and refresh_cookie.may_be_given(request))


def _answer_session(outcome: types.Authenticated, *, in_cookie: bool) -> web.Response:
    response = answer(
        Authenticated(
            session=outcome.session,
            access_token=outcome.access_token,
            expires_in=outcome.expires_in,
            refresh_token=UNSET if in_cookie else outcome.refresh_token,
            device_token=outcome.device_token or UNSET,
        )
    )
    if in_cookie:
        refresh_cookie.put(response, outcome.refresh_token)
    return response


def answer_new_password(started: types.RegistrationStarted) -> web.Response:
    """Answer 200 with what a record is made of."""
    response = to_base64url(started.registration_response)
    return answer(
        RegistrationStarted(flow_id=started.flow_id, registration_response=response, expires_in=started.expires_in)
    )


def answer_login_started(started: types.LoginStarted) -> web.Response:
    """Answer 200 with what the password is proven by."""
    return answer(LoginStarted(flow_id=started.flow_id, ke2=to_base64url(started.ke2), expires_in=started.expires_in))
