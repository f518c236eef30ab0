"""One person with a second factor, who logs in with one recovery code after the other, each sent twice at once."""

import asyncio
from typing import Any

from cypher.clock import SystemClock
from tests.acceptance.authenticator import Authenticator
from tests.acceptance.person import Answer
from tests.faults.books import Invariant
from tests.faults.traffic import PAUSE, Caller, Traffic, begin, insist, is_no_answer

#: Between two logins: ten codes are for the whole of a fault.
BETWEEN = 0.6


class Guarded:
    """Not to be used before `enrol`."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._books = traffic.books
        self.person: Caller = traffic.somebody()
        self._codes: list[str] = []
        self._totp = ""

    async def enrol(self) -> None:
        """Register, enrol an app, and use one code of it; while all is well."""
        assert await self._traffic.register(self.person)
        token = (await self._traffic.log_in_at_last(self.person)).access_token
        enrolment = await insist(lambda: self.person.bearing("POST", "/v1/factors/totp", token))
        app = Authenticator(enrolment.body["secret"], SystemClock())
        self._books.seeds.append(enrolment.body["secret"])
        path, code = "/v1/factors/totp/confirm", app.code()
        confirmed = await insist(lambda: self.person.bearing("POST", path, token, json={"code": code}))
        assert confirmed.status == 200, confirmed.body
        self._totp, self._codes = code, confirmed.body["recovery_codes"]

    async def live(self) -> None:
        """Use up the codes."""
        for code in self._codes:
            await self._use(code)
            await asyncio.sleep(BETWEEN)

    async def require_once(self) -> None:
        """Show again whatever was used: nothing of it may work."""
        for kind, code in [("totp", self._totp), *(("recovery_code", code) for code in self._books.codes_used)]:
            asked = await self._ask()
            if asked is not None and (await self._prove(asked, kind, code)).status == 200:
                self._books.breaks(Invariant.ONCE, f"a {kind} has worked twice")

    async def _use(self, code: str) -> None:
        """Send a code twice until one of the answers says what has become of it."""
        while True:
            asked = await self._ask()
            if asked is not None:
                is_known = code not in self._books.codes_in_doubt
                self._books.codes_in_doubt.add(code)
                both = await asyncio.gather(*(self._prove(asked, "recovery_code", code) for _ in range(2)))
                if self._settled(code, [answer.status for answer in both], is_known=is_known):
                    return
            await asyncio.sleep(PAUSE)

    def _settled(self, code: str, statuses: list[int], *, is_known: bool) -> bool:
        """Judge the two answers; tell whether the code is known to be used."""
        if statuses.count(200) > 1:
            self._books.breaks(Invariant.ONCE, "a recovery code has worked twice")
        if 200 in statuses:
            self._books.codes_used.append(code)
            self._books.codes_in_doubt.discard(code)
            return True
        if 401 in statuses:
            if is_known:
                self._books.breaks(Invariant.WRITTEN, "a good recovery code was refused")
            return True
        return False

    async def _ask(self) -> Answer | None:
        """Log in by password; returns what then asks for the factor."""
        started, state = await begin(self.person.start_login)
        if started.status != 200:
            return None
        proof = await self.person.prove_in_thread(started, state)
        asked = await self.person.post("/v1/login/finish", proof)
        if asked.status not in (200, 410) and not is_no_answer(asked):
            self._books.breaks(Invariant.WRITTEN, f"login/finish was answered {asked.status}: {asked.body}")
        return asked if asked.status == 200 else None

    async def _prove(self, asked: Answer, method: str, code: str) -> Answer:
        proof: dict[str, Any] = {"mfa_token": asked.body["mfa_token"], "method": method, "code": code}
        return await self.person.post("/v1/login/mfa", proof)
