"""Reads the lines of an import: one person each, as JSON. What is wrong with one is a field and a code, no value."""

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

import msgspec

from cypher.auth import usernames
from cypher.auth.opaque import REGISTRATION_RECORD, OpaqueServer
from cypher.crypto import base64url
from cypher.errors import MalformedOpaqueMessage, ValidationFailed
from cypher.repositories.newcomers import ForeignPassword, Newcomer

#: A line longer than this is no person's.
LONGEST = 16_384
MOST_CREDENTIAL_ID = 255
#: RFC 4226, section 4, R6: 128 bits at least.
LEAST_SECRET, MOST_SECRET = 16, 64


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person as a line says it."""

    username: str
    opaque_record: str | None = None  #: 192 bytes, base64url; None for somebody who gets a password by a recovery token
    credential_id: str | None = None  #: what the record was made under, base64url; None: the bytes of `username`
    totp_secret: str | None = None  #: base32, as authenticator apps take it; SHA-1, six digits, 30 seconds
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class LineRefused(Exception):
    """A line that is not taken over: the field (JSON pointer, empty for the line) and why."""

    field: str
    reason: str


_decoder = msgspec.json.Decoder(Line)


def read_line(raw: bytes, user_id: UUID, setup_id: str | None) -> Newcomer:
    """Return the person of a line; raises LineRefused."""
    line = _decoded(raw)
    return Newcomer(
        id=user_id,
        username=_username(line.username),
        password=_password(line, setup_id),
        totp_secret=_totp_secret(line.totp_secret),
        is_active=line.is_active,
    )


def _decoded(raw: bytes) -> Line:
    if len(raw) > LONGEST:
        raise LineRefused("", "too_long")
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError:
        raise LineRefused("", "fields") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise LineRefused("", "bad_json") from None


def _username(given: str) -> str:
    try:
        return usernames.normalise(given)
    except ValidationFailed as exc:
        raise LineRefused(exc.fields[0].pointer, exc.fields[0].code) from None


def _password(line: Line, setup_id: str | None) -> ForeignPassword | None:
    if line.opaque_record is None:
        if line.credential_id is not None:
            raise LineRefused("/opaque_record", "missing")
        return None
    if setup_id is None:
        raise LineRefused("/opaque_record", "no_setup")
    given = _bytes("/credential_id", line.credential_id) if line.credential_id else line.username.encode()
    if len(given) > MOST_CREDENTIAL_ID:
        raise LineRefused("/credential_id", "length")
    record = _bytes("/opaque_record", line.opaque_record)
    if len(record) != REGISTRATION_RECORD:
        raise LineRefused("/opaque_record", "length")
    try:
        return ForeignPassword(record=OpaqueServer.accept_record(record), credential_id=given, setup_id=setup_id)
    except MalformedOpaqueMessage as exc:
        raise LineRefused("/opaque_record", exc.code) from None


def _bytes(field: str, text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        raise LineRefused(field, "not_base64url") from None


def _totp_secret(text: str | None) -> bytes | None:
    if text is None:
        return None
    plain = text.replace(" ", "").rstrip("=").upper()
    try:
        secret = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except (binascii.Error, ValueError):
        raise LineRefused("/totp_secret", "not_base32") from None
    if not LEAST_SECRET <= len(secret) <= MOST_SECRET:
        raise LineRefused("/totp_secret", "length")
    return secret
