"""The server's side of OPAQUE (RFC 9807), the only module here that touches the library.

It must never call `ServerSetupData.get_public_key()`, which returns the whole private setup.
Lengths in bytes: setup 128, registration request 32, response 64, record 192, KE1 96, KE2 320, KE3 64, state 128.
"""

from dataclasses import dataclass

import opaque_ke_py as library

from cypher.crypto.keyring import KeyRing, Purpose
from cypher.errors import MalformedOpaqueMessage

REGISTRATION_REQUEST = 32
REGISTRATION_RECORD = 192
KE1 = 96
KE3 = 64
PUBLIC_KEY = 32


def new_setup() -> bytes:
    """Draw a server setup (128 bytes): OPRF seed, private key, and a key for unknown clients."""
    return bytes(library.server_setup().to_bytes())


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
        setup_id = self._ring.primary(Purpose.OPAQUE).id
        try:
            response = library.server_registration_start(self._setup(setup_id), request, credential_id)
        except ValueError as exc:
            raise MalformedOpaqueMessage from exc
        return setup_id, bytes(response.get_message())

    def accept_record(self, upload: bytes) -> bytes:
        """Check a registration record (192 bytes) and return it as it is stored."""
        try:
            return bytes(library.server_registration_finish(upload).get_password_file())
        except ValueError as exc:
            raise MalformedOpaqueMessage from exc

    def begin_login(self, *, setup_id: str, record: bytes, credential_id: bytes, ke1: bytes) -> Begun:
        """Answer KE1 (96 bytes) with KE2 (320) for a stored or a fake record."""
        try:
            started = library.server_login_start(self._setup(setup_id), record, ke1, credential_id)
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
        return self._public_key(self._ring.primary(Purpose.OPAQUE).id)

    def first_setup(self) -> tuple[str, bytes]:
        """Return key id and public key (32 bytes) of the first setup, under which unknown names are answered."""
        setup_id = self._ring.first(Purpose.OPAQUE).id
        return setup_id, self._public_key(setup_id)

    def _public_key(self, setup_id: str) -> bytes:
        """Read the tail of a registration response: the library has no safe way to ask. Once for each setup."""
        if setup_id not in self._public_keys:
            request = bytes(library.client_registration_start(b"").get_message())
            response = library.server_registration_start(self._setup(setup_id), request, bytes(16))
            self._public_keys[setup_id] = bytes(response.get_message())[-PUBLIC_KEY:]
        return self._public_keys[setup_id]

    def _setup(self, setup_id: str) -> library.ServerSetupData:
        if setup_id not in self._setups:
            self._setups[setup_id] = library.ServerSetupData.from_bytes(self._ring.key(setup_id).secret)
        return self._setups[setup_id]
