"""The bodies of requests about an account: another password, another name, recovery."""

from typing import Annotated

import msgspec

from cypher.auth.opaque import REGISTRATION_RECORD, REGISTRATION_REQUEST
from cypher.web.schema import base64url


class PasswordStart(msgspec.Struct, frozen=True, kw_only=True):
    registration_request: Annotated[str, base64url(REGISTRATION_REQUEST)]


class PasswordFinish(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    registration_record: Annotated[str, base64url(REGISTRATION_RECORD)]
    revoke_other_sessions: bool = True


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    username: str


class RecoveryRequest(msgspec.Struct, frozen=True, kw_only=True):
    username: str


class RecoveryStart(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    recovery_token: str
    registration_request: Annotated[str, base64url(REGISTRATION_REQUEST)]


class RecoveryFinish(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    registration_record: Annotated[str, base64url(REGISTRATION_RECORD)]
