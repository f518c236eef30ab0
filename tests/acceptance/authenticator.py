"""The app on a person's telephone, and the steps of a login that it is needed for."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import opaque_ke_py as opaque
import pyotp

from cypher.clock import Clock, SystemClock
from tests.acceptance.person import Answer, Person, b64, unb64

STEP = timedelta(seconds=30)


class HandClock(SystemClock):
    """A time of day that goes on when told to: from the middle of a step, so that no test meets its end."""

    def __init__(self) -> None:
        now = super().now()
        self.time = now - (now - datetime.fromtimestamp(0, now.tzinfo)) % STEP + STEP / 2

    def now(self) -> datetime:
        return self.time

    def next_step(self) -> None:
        self.time += STEP


@dataclass
class Authenticator:
    """Holds one secret."""

    secret: str
    clock: Clock

    def code(self, ahead: int = 0) -> str:
        """Return the code of the present step, or of one `ahead` of it."""
        return pyotp.TOTP(self.secret).at(self.clock.now(), counter_offset=ahead)

    def wrong_code(self) -> str:
        """Return a code that no step nearby has."""
        near = {self.code(ahead) for ahead in range(-2, 3)}
        return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


async def begin_enrolment(person: Person, access_token: str, clock: Clock) -> Authenticator:
    begun = await person.bearing("POST", "/v1/factors/totp", access_token)
    assert begun.status == 201, begun.body
    return Authenticator(begun.body["secret"], clock)


async def confirm(person: Person, access_token: str, code: str) -> Answer:
    return await person.bearing("POST", "/v1/factors/totp/confirm", access_token, json={"code": code})


async def enrol(person: Person, access_token: str, clock: Clock) -> tuple[Authenticator, list[str]]:
    """Enrol an app by the code of the present step; returns it and the recovery codes."""
    app = await begin_enrolment(person, access_token, clock)
    confirmed = await confirm(person, access_token, app.code())
    assert confirmed.status == 200, confirmed.body
    return app, confirmed.body["recovery_codes"]


async def prove(person: Person, asked: Answer, code: object, method: str = "totp", **chosen: object) -> Answer:
    """Answer `mfa_required` with a code; `chosen` goes with it: `trust_device`."""
    assert asked.body["status"] == "mfa_required", asked.body
    proof = {"mfa_token": asked.body["mfa_token"], "method": method, "code": code}
    return await person.post("/v1/login/mfa", proof | chosen)


async def start_reauthentication(person: Person, access_token: str) -> tuple[Answer, bytes]:
    client = opaque.client_login_start(person.password)
    started = await person.bearing(
        "POST", "/v1/reauthentication/start", access_token, json={"ke1": b64(client.get_message())}
    )
    return started, client.get_state()


def proof_of(person: Person, started: Answer, state: bytes) -> dict[str, str]:
    """Return the body of reauthentication/finish."""
    finished = opaque.client_login_finish(person.password, state, unb64(started.body["ke2"]))
    return {"flow_id": started.body["flow_id"], "ke3": b64(finished.get_message())}


async def reauthenticate(person: Person, access_token: str) -> Answer:
    started, state = await start_reauthentication(person, access_token)
    proof = proof_of(person, started, state)
    return await person.bearing("POST", "/v1/reauthentication/finish", access_token, json=proof)
