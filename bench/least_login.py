"""A login of two requests that looks nothing up and keeps nothing: `python -m bench.least_login PORT`.

What no login here can be without, by the bare libraries: aiohttp, JSON, OPAQUE, a signature, and as many values sealed,
opened and hashed as Cypher has in its rows. Without PostgreSQL, Redis, limits, checks of any kind, and the log.
"""

import os
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest
from uuid import uuid4

import msgspec
import opaque_ke_py as library
from aiohttp import web
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.bare_aiohttp import main
from bench.people import AGENT, PASSWORD
from cypher.auth.types import SessionView
from cypher.crypto import base64url
from cypher.web.schema import Authenticated, LoginFinish, LoginStart, LoginStarted

#: Values of a session's row, its token's and its cached form; entries of the trail; values that are opened at the end.
SEALED, ENTRIES, OPENED = 4, 3, 2
#: About as long as what is sealed.
VALUE = AGENT.encode() + bytes(64)
CLAIMS = bytes(400)


class LeastLogin:
    """One person, whose password is that of all people here."""

    def __init__(self) -> None:
        self._setup = library.server_setup()
        password, self._credential_id = PASSWORD.encode(), os.urandom(16)
        begun = library.client_registration_start(password)
        answer = library.server_registration_start(self._setup, bytes(begun.get_message()), self._credential_id)
        upload = library.client_registration_finish(password, begun.get_state(), bytes(answer.get_message()))
        record = bytes(library.server_registration_finish(bytes(upload.get_message())).get_password_file())
        self._fernet, self._gcm = Fernet(Fernet.generate_key()), AESGCM(os.urandom(32))
        self._signer, self._mac_key = Ed25519PrivateKey.generate(), os.urandom(32)
        self._record, self._value = self._fernet.encrypt(record), self._fernet.encrypt(VALUE)
        self._flows: dict[str, bytes] = {}

    async def start(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=LoginStart)
        record = self._fernet.decrypt(self._record)
        started = library.server_login_start(self._setup, record, base64url.decode(body.ke1), self._credential_id)
        flow_id = base64url.encode(os.urandom(32))
        self._flows[sha256(flow_id.encode()).hexdigest()] = self._fernet.encrypt(bytes(started.get_state()))
        ke2 = base64url.encode(bytes(started.get_message()))
        return _answer(LoginStarted(flow_id=flow_id, ke2=ke2, expires_in=60))

    async def finish(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=LoginFinish)
        state = self._fernet.decrypt(self._flows.pop(sha256(body.flow_id.encode()).hexdigest()))
        library.server_login_finish(state, base64url.decode(body.ke3))
        for _ in range(OPENED):
            self._fernet.decrypt(self._value)
        for _ in range(SEALED):
            self._fernet.encrypt(VALUE)
        for _ in range(ENTRIES):
            digest(self._mac_key, self._gcm.encrypt(os.urandom(12), VALUE, None), "sha256")
        token = base64url.encode(CLAIMS + self._signer.sign(CLAIMS))
        refresh_token = base64url.encode(os.urandom(32))
        return _answer(
            Authenticated(session=_session(), access_token=token, expires_in=300, refresh_token=refresh_token)
        )


def _session() -> SessionView:
    now = datetime.now(UTC)
    return SessionView(
        id=uuid4(),
        user_id=uuid4(),
        username="person",
        aal=1,
        amr=("opaque",),
        authenticated_at=now,
        created_at=now,
        expires_at=now,
        idle_expires_at=now,
        device_id=None,
    )


def _answer(body: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


if __name__ == "__main__":
    login = LeastLogin()
    main([web.post("/v1/login/start", login.start), web.post("/v1/login/finish", login.finish)])
