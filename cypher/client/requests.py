"""What the client sends. Optional fields that are not set are left out."""

import msgspec

from cypher.client.account_answers import Device


class RegistrationStart(msgspec.Struct, frozen=True):
    username: str
    registration_request: str


class RegistrationFinish(msgspec.Struct, frozen=True):
    flow_id: str
    registration_record: str


class LoginStart(msgspec.Struct, frozen=True, omit_defaults=True):
    username: str
    ke1: str
    device_token: str | None = None


class LoginFinish(msgspec.Struct, frozen=True, omit_defaults=True):
    flow_id: str
    ke3: str
    device: Device | None = None


class LoginMfa(msgspec.Struct, frozen=True, omit_defaults=True):
    mfa_token: str
    method: str
    code: str
    trust_device: bool = False


class DeviceChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str | None = None
    trusted: bool | None = None


class ReauthenticationStart(msgspec.Struct, frozen=True):
    ke1: str


class TotpConfirm(msgspec.Struct, frozen=True):
    code: str


class PasswordStart(msgspec.Struct, frozen=True):
    registration_request: str


class PasswordFinish(msgspec.Struct, frozen=True):
    flow_id: str
    registration_record: str
    revoke_other_sessions: bool


class Username(msgspec.Struct, frozen=True):
    username: str


class RecoveryStart(msgspec.Struct, frozen=True):
    username: str
    recovery_token: str
    registration_request: str
