"""Every error of the domain, in families by what the caller does next.

The docstring of a class is the sentence its receiver reads; `code` is stable and belongs to the HTTP contract.
No message may hold a value that was sent, a path of the server or a driver's text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


class CypherError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    @classmethod
    def message(cls) -> str:
        """The public sentence: the first line of the class's docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


# -- the client sends something else ------------------------------------------------------------------------


class BadRequest(CypherError):
    """The request cannot be understood."""

    code = "bad_request"


class BadJson(BadRequest):
    """The body is not valid JSON in UTF-8."""

    code = "bad_json"


class MalformedOpaqueMessage(BadRequest):
    """An OPAQUE message is not base64url, has a wrong length or is not a valid group element."""

    code = "malformed_opaque_message"


class NotFound(CypherError):
    """There is nothing here."""

    code = "not_found"


class MethodNotAllowed(CypherError):
    """This route does not answer this method."""

    code = "method_not_allowed"


class BodyTooLarge(CypherError):
    """The body is over 64 KiB."""

    code = "body_too_large"


class UnsupportedMediaType(CypherError):
    """The body's media type is not the one this route takes."""

    code = "unsupported_media_type"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that does not fit: a JSON pointer (RFC 6901) and a stable code."""

    pointer: str
    code: str


class ValidationFailed(CypherError):
    """Some fields do not have the form this route asks for."""

    code = "validation_failed"

    def __init__(self, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(self.message())
        self.fields = tuple(fields)


# -- the client proves who it is ----------------------------------------------------------------------------


class Unauthenticated(CypherError):
    """A valid bearer token is needed."""

    code = "unauthenticated"


class AccessTokenEnded(Unauthenticated):
    """A valid bearer token is needed."""

    # To its sender this is any other bad token; to a limiter it is not: whoever has one did not guess it.


class InvalidCredentials(Unauthenticated):
    """Username or password is wrong."""

    code = "invalid_credentials"


class MfaFailed(Unauthenticated):
    """This code is wrong, or was used before."""

    code = "mfa_failed"


class SessionExpired(Unauthenticated):
    """This session is over: log in again."""

    code = "session_expired"


# -- the client may not -------------------------------------------------------------------------------------


class Forbidden(CypherError):
    """This is not allowed."""

    code = "forbidden"


class AccountDisabled(Forbidden):
    """This account is disabled."""

    code = "account_disabled"


class AccountLocked(Forbidden):
    """This account is locked."""

    code = "account_locked"


class ReauthenticationRequired(Forbidden):
    """This needs a fresh proof of the password, and of the second factor where one is enrolled."""

    code = "reauthentication_required"


class OriginNotAllowed(Forbidden):
    """Pages of this origin may not call from a browser."""

    code = "origin_not_allowed"


class InsufficientScope(Forbidden):
    """This service token does not have the scope that this route needs."""

    code = "insufficient_scope"


class RegistrationClosed(Forbidden):
    """Registration is closed here."""

    code = "registration_closed"


# -- the client starts again --------------------------------------------------------------------------------


class Conflict(CypherError):
    """Something else stands in the way."""

    code = "conflict"


class UsernameTaken(Conflict):
    """This username is already registered."""

    code = "username_taken"


class FactorExists(Conflict):
    """A second factor of this kind is enrolled already: remove it first."""

    code = "factor_exists"


class FlowExpired(CypherError):
    """This flow is used, unknown or too old: start again."""

    code = "flow_expired"


class InvalidGrant(CypherError):
    """The refresh token is used, unknown or its session is over."""

    code = "invalid_grant"


class InvalidRequest(CypherError):
    """The form lacks a parameter, repeats one or has one of a wrong form."""

    code = "invalid_request"


class UnsupportedGrantType(CypherError):
    """Only the grant type refresh_token is answered here."""

    code = "unsupported_grant_type"


# -- the client tries later ---------------------------------------------------------------------------------


class RateLimited(CypherError):
    """Too many attempts: try again later."""

    code = "rate_limited"

    def __init__(self, *, policy: str, limit: int, window: timedelta, retry_after: timedelta) -> None:
        super().__init__(self.message())
        self.policy = policy
        self.limit = limit  #: hits in any `window`
        self.window = window
        self.retry_after = retry_after


class FactorLocked(RateLimited):
    """The second factor was tried too often: wait, or ask the operator to reset it."""

    code = "factor_locked"


class Unavailable(CypherError):
    """Something this answer needs is away for a moment: try again."""

    code = "dependency_unavailable"


class PostgresUnavailable(Unavailable):
    """The database is away for a moment: try again."""


class RedisUnavailable(Unavailable):
    """The session cache is away for a moment: try again."""


class FieldDoesNotOpen(Unavailable):
    """A stored field cannot be read."""

    def __init__(self, where: str = "") -> None:
        super().__init__(self.message())
        self.where = where  #: `table.column` of the cell and the row's id; never why, and nothing of the value


class KeysUnavailable(Unavailable):
    """The key store is away for a moment: try again."""


class TrailRefused(Unavailable):
    """This cannot be recorded at the moment, and so it was not done: try again."""


class NamesBusy(Unavailable):
    """Usernames are being indexed anew: try again later."""


# -- the operator acts --------------------------------------------------------------------------------------


class OperatorError(CypherError):
    """The service cannot go on until its operator acts; `str()` says what is wrong and what to do."""

    code = "operator_action_needed"


class SettingsRefused(OperatorError):
    """Settings are missing or wrong; every one of them is listed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class KeyStoreRefused(OperatorError):
    """The key store cannot be used as it is; nothing was changed."""


class TrailBroken(OperatorError):
    """The audit trail does not go on from where it was seen to end."""


class SchemaRefused(OperatorError):
    """The database's schema is not the one this version needs."""
