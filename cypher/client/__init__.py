"""The Python client: OPAQUE on the person's side, tokens that renew themselves, typed answers and errors.

It must never send, log or keep a password; what leaves this process are OPAQUE messages and bearer tokens.
"""

from cypher.client.answers import ListedSession, RegisteredUser, Session
from cypher.client.client import CypherClient
from cypher.client.errors import (
    AccountDisabled,
    AccountLocked,
    CypherClientError,
    FieldProblem,
    FlowExpired,
    InvalidCredentials,
    InvalidGrant,
    MalformedOpaqueMessage,
    NotFound,
    NotLoggedIn,
    RateLimited,
    RegistrationClosed,
    SessionExpired,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UsernameTaken,
    ValidationFailed,
    WrongServer,
)
from cypher.client.tokens import Tokens

__all__ = [
    "AccountDisabled",
    "AccountLocked",
    "CypherClient",
    "CypherClientError",
    "FieldProblem",
    "FlowExpired",
    "InvalidCredentials",
    "InvalidGrant",
    "ListedSession",
    "MalformedOpaqueMessage",
    "NotFound",
    "NotLoggedIn",
    "RateLimited",
    "RegisteredUser",
    "RegistrationClosed",
    "Session",
    "SessionExpired",
    "Tokens",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "UsernameTaken",
    "ValidationFailed",
    "WrongServer",
]
