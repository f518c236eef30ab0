"""The server's side of OPAQUE (RFC 9807), the only module here that touches the library.

It must never call `ServerSetupData.get_public_key()`, which returns the whole private setup.
Lengths in bytes: setup 128, registration request 32, response 64, record 192, KE1 96, KE2 320, KE3 64, state 128.
"""

from dataclasses import dataclass

import opaque_ke_py as library

from cypher.crypto.keyring import Key, KeyRing, Purpose
from cypher.errors import MalformedOpaqueMessage

REGISTRATION_REQUEST = 32
REGISTRATION_RESPONSE = 64
REGISTRATION_RECORD = 192
KE1 = 96
KE2 = 320
KE3 = 64
PUBLIC_KEY = 32


def new_setup() -> bytes:
    """Draw a server setup (128 bytes): OPRF seed, private key, and a key for unknown clients."""
    return bytes(library.server_setup().to_bytes())


def accept_setup(raw: bytes) -> bytes:
    """Check a server setup (128 bytes) that was made elsewhere and return it."""
    try:
        setup = bytes(library.ServerSetupData.from_bytes(raw).to_bytes())
    except ValueError as exc:
        raise MalformedOpaqueMessage from exc
    if setup != raw:
        raise MalformedOpaqueMessage
    return setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What `login/start` keeps and what it answers."""

    ke2: bytes
    state: bytes


class OpaqueServer:
    """OPAQUE under the setups of the key ring. Identities and context stay empty."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._setups: dict[str, library.ServerSetupData] = {}
        self._public_keys: dict[str, bytes] = {}

    def respond_to_registration(self, request: bytes, credential_id: bytes) -> tuple[str, bytes]:
        """Answer a registration request (32 bytes) under the active setup.

        Returns the setup's key id and the response (64 bytes). `credential_id` must be drawn anew for each call:
        under a stored one this is a password oracle.
        """
        key = self._ring.primary(Purpose.OPAQUE)
        try:
            response = library.server_registration_start(self._setup(key), request, credential_id)
        except ValueError as exc:
            raise MalformedOpaqueMessage from exc
        return key.id, bytes(response.get_message())

    @staticmethod
    def accept_record(upload: bytes) -> bytes:
        """Check a registration record (192 bytes) and return it as it is stored."""
        try:
            return bytes(library.server_registration_finish(upload).get_password_file())
        except ValueError as exc:
            raise MalformedOpaqueMessage from exc

    async def begin_login(self, *, setup_id: str, record: bytes, credential_id: bytes, ke1: bytes) -> Begun:
        """Answer KE1 (96 bytes) with KE2 (320) for a stored or a fake record."""
        setup = self._setup(await self._ring.key(setup_id))
        try:
            started = library.server_login_start(setup, record, ke1, credential_id)
        except ValueError as exc:
            raise MalformedOpaqueMessage from exc
        return Begun(ke2=bytes(started.get_message()), state=bytes(started.get_state()))

    @staticmethod
    def proves_password(state: bytes, ke3: bytes) -> bool:
        """Tell whether KE3 (64 bytes) is that of a client who knew the password.

        The same KE3 and state pass again and again: the caller must let a state be used once.
        """
        try:
            library.server_login_finish(state, ke3)
        except ValueError:
            return False
        return True

    def public_key(self) -> bytes:
        """Return the active setup's public key (32 bytes)."""
        return self._public_key(self._ring.primary(Purpose.OPAQUE))

    def first_setup(self) -> tuple[str, bytes]:
        """Return key id and public key (32 bytes) of the first setup, under which unknown names are answered."""
        key = self._ring.first(Purpose.OPAQUE)
        return key.id, self._public_key(key)

    def _public_key(self, key: Key) -> bytes:
        """Read the tail of a registration response: the library has no safe way to ask. Once for each setup."""
        if key.id not in self._public_keys:
            request = bytes(library.client_registration_start(b"").get_message())
            response = library.server_registration_start(self._setup(key), request, bytes(16))
            self._public_keys[key.id] = bytes(response.get_message())[-PUBLIC_KEY:]
        return self._public_keys[key.id]

    def _setup(self, key: Key) -> library.ServerSetupData:
        if key.id not in self._setups:
            self._setups[key.id] = library.ServerSetupData.from_bytes(key.secret)
        return self._setups[key.id]
