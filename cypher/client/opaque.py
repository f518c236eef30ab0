"""OPAQUE (RFC 9807) on the person's side: ristretto255, SHA-512, argon2id (19456 KiB, 2 passes, 1 lane).

The password is taken as the UTF-8 of the text given, like the browser's library takes it: no normalisation.
"""

import asyncio
import base64
import hmac
from dataclasses import dataclass, field

import opaque_ke_py

from cypher.client.errors import InvalidCredentials, UnexpectedAnswer, WrongServer

REGISTRATION_RESPONSE_BYTES = 64  # evaluated element (32), then the server's public key (32)
KE2_BYTES = 320


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message for the service, and the state that finishes it; the state never leaves this process."""

    message: str
    password: bytes = field(repr=False)
    state: bytes = field(repr=False)


def start_registration(password: str) -> Attempt:
    """Blind the password (RFC 9807, section 5.2.1)."""
    secret = password.encode()
    start = opaque_ke_py.client_registration_start(secret)
    return Attempt(_encode(start.get_message()), secret, start.get_state())


async def finish_registration(attempt: Attempt, response: str, server_public_key: bytes | None) -> str:
    """Seal the envelope (section 5.2.3); answers the record for the service.

    Raises WrongServer when the response's key is not `server_public_key` (32 bytes; None: any).
    """
    answer = _decode(response, REGISTRATION_RESPONSE_BYTES)
    if server_public_key is not None and not hmac.compare_digest(answer[32:], server_public_key):
        raise WrongServer
    try:
        finish = await asyncio.to_thread(
            opaque_ke_py.client_registration_finish, attempt.password, attempt.state, answer
        )
    except ValueError as error:
        raise UnexpectedAnswer from error
    return _encode(finish.get_message())


def start_login(password: str) -> Attempt:
    """Make KE1 (section 6.2.1)."""
    secret = password.encode()
    start = opaque_ke_py.client_login_start(secret)
    return Attempt(_encode(start.get_message()), secret, start.get_state())


async def finish_login(attempt: Attempt, ke2: str) -> str:
    """Open the envelope and make KE3 (section 6.2.3).

    Raises InvalidCredentials: by the protocol a wrong password, an unknown name and a server other than the one
    the password was registered with all look the same here.
    """
    answer = _decode(ke2, KE2_BYTES)
    try:
        finish = await asyncio.to_thread(opaque_ke_py.client_login_finish, attempt.password, attempt.state, answer)
    except ValueError as error:
        raise InvalidCredentials from error
    return _encode(finish.get_message())


def _encode(message: bytes) -> str:
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


def _decode(text: str, length: int) -> bytes:
    """Read base64url without padding of exactly `length` bytes; the library itself would take longer messages."""
    try:
        message = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise UnexpectedAnswer from error
    # The decoder skips foreign characters: only what encodes back to the same text was base64url.
    if len(message) != length or _encode(message) != text:
        raise UnexpectedAnswer
    return message
