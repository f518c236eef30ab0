"""What can go wrong for a caller of the client: one class for each stable `code` of the HTTP contract.

No message holds a password, a token or a value that was sent.
"""

from typing import ClassVar

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """One field that the service did not take: a JSON pointer (RFC 6901) and a stable code."""

    pointer: str
    code: str


class CypherClientError(Exception):
    """Cypher did not do what was asked.

    `code` is stable; `status` is the HTTP status and None where no answer said so; `request_id` is what the
    service's operator finds the request by; `retry_after` are seconds; `fields` are the fields refused.
    """

    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        fields: tuple[FieldProblem, ...] = (),
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.code = code or self.default_code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.fields = fields


# -- no answer, or none of Cypher's -------------------------------------------------------------------------


class Unreachable(CypherClientError):
    """The service gave no answer: is it running, and is its address right?

    Whether it did what was asked is unknown, unless `sent` is False.
    """

    default_code = "unreachable"

    def __init__(self, message: str = "", *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedAnswer(CypherClientError):
    """The answer is not one that Cypher gives: is this address Cypher's, and its version this client's?"""

    default_code = "unexpected_answer"


class WrongServer(CypherClientError):
    """The service's OPAQUE key is not the one this client was told to expect."""

    default_code = "wrong_server"


class NotLoggedIn(CypherClientError):
    """There is no session here: log in first."""

    default_code = "not_logged_in"


class FactorRequired(CypherClientError):
    """The password was right, and a second factor is asked for: answer with `prove_factor`.

    `factors` are the ways to do so; the token is good for `expires_in` seconds.
    """

    default_code = "mfa_required"

    def __init__(self, mfa_token: str, factors: tuple[str, ...], expires_in: float) -> None:
        super().__init__()
        self.mfa_token = mfa_token
        self.factors = factors
        self.expires_in = expires_in


# -- one class for each code ---------------------------------------------------------------------------------


class MalformedOpaqueMessage(CypherClientError):
    """The service could not read an OPAQUE message."""

    default_code = "malformed_opaque_message"


class ValidationFailed(CypherClientError):
    """Some fields do not have the form the service asks for; `fields` lists them."""

    default_code = "validation_failed"


class Unauthenticated(CypherClientError):
    """The access token is not good, or not any more."""

    default_code = "unauthenticated"


class InvalidCredentials(Unauthenticated):
    """Username or password is wrong, or this is not the server the password was registered with."""

    default_code = "invalid_credentials"


class MfaFailed(CypherClientError):
    """This code is wrong, or was used before."""

    default_code = "mfa_failed"


class SessionExpired(Unauthenticated):
    """This session is over: log in again."""

    default_code = "session_expired"


class InvalidGrant(SessionExpired):
    """The refresh token is used, unknown or its session is over: log in again."""

    default_code = "invalid_grant"


class AccountDisabled(CypherClientError):
    """This account is disabled."""

    default_code = "account_disabled"


class AccountLocked(CypherClientError):
    """This account is locked."""

    default_code = "account_locked"


class ReauthenticationRequired(CypherClientError):
    """This needs a fresh proof of password and factor: call `reauthenticate` first."""

    default_code = "reauthentication_required"


class RegistrationClosed(CypherClientError):
    """Registration is closed here."""

    default_code = "registration_closed"


class NotFound(CypherClientError):
    """There is nothing here."""

    default_code = "not_found"


class UsernameTaken(CypherClientError):
    """This username is already registered."""

    default_code = "username_taken"


class FactorExists(CypherClientError):
    """A second factor is enrolled already: remove it first."""

    default_code = "factor_exists"


class FlowExpired(CypherClientError):
    """This took too long, or was done already: start again."""

    default_code = "flow_expired"


class RateLimited(CypherClientError):
    """Too many attempts: try again later."""

    # Never sent again by itself: every attempt counts, and how long to wait is for the caller to decide.
    default_code = "rate_limited"

    def __str__(self) -> str:
        if self.retry_after is None:
            return super().__str__()
        return f"Too many attempts: try again in {self.retry_after:.0f} seconds."


class FactorLocked(RateLimited):
    """The second factor was tried too often: wait for `retry_after` seconds, or ask the operator to reset it."""

    default_code = "factor_locked"


class Unavailable(CypherClientError):
    """Something the service needs is away for a moment: try again."""

    default_code = "dependency_unavailable"


BY_CODE: dict[str, type[CypherClientError]] = {
    cls.default_code: cls
    for cls in (
        MalformedOpaqueMessage,
        ValidationFailed,
        Unauthenticated,
        InvalidCredentials,
        MfaFailed,
        SessionExpired,
        InvalidGrant,
        AccountDisabled,
        AccountLocked,
        ReauthenticationRequired,
        RegistrationClosed,
        NotFound,
        UsernameTaken,
        FactorExists,
        FlowExpired,
        RateLimited,
        FactorLocked,
        Unavailable,
    )
}
