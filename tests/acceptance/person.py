"""A person with a password at the other end of HTTP: each step of OPAQUE by itself, so that tests can race them."""

import base64
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import opaque_ke_py as opaque


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Person:
    """Speaks to one instance at a time: `url` may be changed between two steps."""

    http: aiohttp.ClientSession
    url: str
    username: str
    password: bytes = b"correct horse battery staple"

    async def post(self, path: str, json: object = None, **options: Any) -> Answer:
        return await self.ask("POST", path, json=json, **options)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        async with self.http.request(method, self.url + path, **options) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else await response.read()
            return Answer(response.status, body, dict(response.headers))

    async def bearing(self, method: str, path: str, token: str, **options: Any) -> Answer:
        return await self.ask(method, path, headers={"Authorization": f"Bearer {token}"}, **options)

    async def start_registration(self) -> tuple[Answer, bytes]:
        client = opaque.client_registration_start(self.password)
        request = {"username": self.username, "registration_request": b64(client.get_message())}
        return await self.post("/v1/registration/start", request), client.get_state()

    def record(self, started: Answer, state: bytes) -> dict[str, str]:
        """Return the body of registration/finish."""
        response = unb64(started.body["registration_response"])
        record = opaque.client_registration_finish(self.password, state, response).get_message()
        return {"flow_id": started.body["flow_id"], "registration_record": b64(record)}

    async def finish_registration(self, started: Answer, state: bytes) -> Answer:
        return await self.post("/v1/registration/finish", self.record(started, state))

    async def register(self) -> Answer:
        return await self.finish_registration(*await self.start_registration())

    async def start_login(self, device_token: str | None = None) -> tuple[Answer, bytes]:
        client = opaque.client_login_start(self.password)
        request = {"username": self.username, "ke1": b64(client.get_message())}
        if device_token is not None:
            request["device_token"] = device_token
        return await self.post("/v1/login/start", request), client.get_state()

    def prove(self, started: Answer, state: bytes) -> dict[str, Any]:
        """Return the body of login/finish; raises ValueError where KE2 does not fit the password."""
        finished = opaque.client_login_finish(self.password, state, unb64(started.body["ke2"]))
        return {"flow_id": started.body["flow_id"], "ke3": b64(finished.get_message())}

    async def login(self, device_token: str | None = None, **chosen: object) -> Answer:
        """Log in; `chosen` goes with the proof: `device`, `refresh_cookie`."""
        started, state = await self.start_login(device_token)
        return await self.post("/v1/login/finish", self.prove(started, state) | chosen)

    async def session(self, access_token: str) -> Answer:
        return await self.bearing("GET", "/v1/session", access_token)

    async def refresh(self, refresh_token: str) -> Answer:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.ask("POST", "/oauth/token", data=form)
