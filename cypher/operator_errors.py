"""What an operator asked for and cannot have: a sentence (`str()`) at the command line, a status and a code over HTTP.

Only the sentence may name what was asked for; an answer says what the class says.
"""

from typing import ClassVar

from cypher.errors import (
    Conflict,
    FieldError,
    KeyStoreRefused,
    NotFound,
    OperatorError,
    PostgresUnavailable,
    ValidationFailed,
)


class Unfit(ValidationFailed, OperatorError):
    """Some fields do not have the form this route asks for."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__([FieldError(f"/{field}", "invalid")])
        self.args = (sentence,)


class Absent(NotFound, OperatorError):
    """There is nothing here."""


class KeyInUse(Conflict, OperatorError):
    """This key is in use, or has not been out of use for long enough: it cannot be destroyed."""

    code: ClassVar[str] = "key_in_use"


class KeyPending(Conflict, OperatorError):
    """The next key for this is made already, and takes over by itself."""

    code: ClassVar[str] = "key_pending"


class KeyStoreAway(PostgresUnavailable, KeyStoreRefused):
    """The key store is away for a moment: try again."""
