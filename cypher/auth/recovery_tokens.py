"""The recovery token as a value, and how long each kind of it lives."""

from datetime import timedelta

from cypher.clock import new_token

PREFIX = "cyv_"

#: Of one that was asked for by its owner, who is waiting for the mail: not longer than a mailbox takes to be read.
ASKED_FOR = timedelta(hours=1)
#: Of one that an operator hands over, which may have to wait for somebody's next working day.
HANDED_OVER = timedelta(days=1)
#: The longest that an operator may choose: a token that lies about is a password that lies about.
LONGEST = timedelta(days=30)


def new_recovery_token() -> str:
    """Draw a recovery token: `cyv_` and 43 characters of base64url."""
    return new_token(PREFIX)
