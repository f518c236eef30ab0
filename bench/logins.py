"""Logins over HTTP, their steps apart: what the person's client computes in between is not the server's time.

The client's key stretching takes some fifty times as long as all that the server does for a login.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import pyotp

from bench.harness import Tally
from bench.load import Load, Outcome
from bench.load.jobs import one_after_another
from bench.people import PASSWORD
from bench.processes import Running
from bench.requests import post
from cypher.auth.opaque import KE3
from cypher.auth.totp import STEP_SECONDS, base32
from cypher.client.opaque import finish_login, start_login
from cypher.clock import SystemClock, new_bytes
from cypher.crypto import base64url
from cypher.web.schema import Authenticated, LoginFinish, LoginMfa, LoginStart, LoginStarted, MfaRequired

A = TypeVar("A", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Door:
    """A service, a client, and how many requests of it are under way at once."""

    running: Running
    load: Load
    at_once: int

    async def send(self, path: str, bodies: Sequence[msgspec.Struct], *, status: int = 200) -> Outcome:
        requests = [post(path, body) for body in bodies]
        return await self.load.each(self.running.port, requests, at_once=self.at_once, status=status)


async def log_in(door: Door, usernames: Sequence[str]) -> Tally:
    """Log people in by their password."""
    started, finished = await _prove_passwords(door, usernames)
    _decoded(finished, Authenticated)
    return one_after_another([started, finished])


async def log_in_with_totp(door: Door, usernames: Sequence[str], secret: bytes) -> Tally:
    """Log people in by password and a code of the one secret that they share."""
    started, finished = await _prove_passwords(door, usernames)
    code = pyotp.TOTP(base32(secret), interval=STEP_SECONDS).at(SystemClock().now())
    asked = _decoded(finished, MfaRequired)
    bodies = [LoginMfa(mfa_token=each.mfa_token, method="totp", code=code) for each in asked]
    proven = await door.send("/v1/login/mfa", bodies)
    _decoded(proven, Authenticated)
    return one_after_another([started, finished, proven])


async def knock(door: Door, usernames: Sequence[str], ke1: str) -> Tally:
    """Go both steps for names that nobody has; the proof is drawn, for there is none."""
    started = await door.send("/v1/login/start", [LoginStart(username=name, ke1=ke1) for name in usernames])
    bodies = [
        LoginFinish(flow_id=each.flow_id, ke3=base64url.encode(new_bytes(KE3)))
        for each in _decoded(started, LoginStarted)
    ]
    return one_after_another([started, await door.send("/v1/login/finish", bodies, status=401)])


async def _prove_passwords(door: Door, usernames: Sequence[str]) -> tuple[Outcome, Outcome]:
    attempts = [start_login(PASSWORD) for _ in usernames]
    bodies = [LoginStart(username=name, ke1=each.message) for name, each in zip(usernames, attempts, strict=True)]
    started = await door.send("/v1/login/start", bodies)
    answers = _decoded(started, LoginStarted)
    proofs = [
        LoginFinish(flow_id=answer.flow_id, ke3=await finish_login(attempt, answer.ke2))
        for attempt, answer in zip(attempts, answers, strict=True)
    ]
    return started, await door.send("/v1/login/finish", proofs)


def _decoded(outcome: Outcome, form: type[A]) -> list[A]:
    return [msgspec.json.decode(body, type=form) for body in outcome.bodies]
