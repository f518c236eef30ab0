"""The client itself: one person, at most one session."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

import aiohttp

from cypher.client import answers, opaque, requests
from cypher.client.account import AccountCalls
from cypher.client.account_answers import ActivityPage, Device
from cypher.client.answers import Factors, ListedSession, RegisteredUser, Session, TotpEnrolment
from cypher.client.calls import REPEAT_SECONDS
from cypher.client.devices import DeviceCalls
from cypher.client.errors import FactorRequired, InvalidCredentials, NotLoggedIn, SessionExpired, Unauthenticated
from cypher.client.tokens import TokenBox, Tokens
from cypher.client.transport import Call, Transport, read
from cypher.clock import Clock, SystemClock

TIMEOUT = timedelta(seconds=10)  # twice what the service gives itself for any request
PAUSES = (0.1, 0.5)  # before the second and the third attempt, seconds


class CypherClient(AccountCalls, DeviceCalls):
    """Registers, logs in, keeps the tokens fresh and asks about the session.

    `server_public_key` (32 bytes) pins the service's OPAQUE key: registering with any other raises WrongServer.
    A login needs no pin, OPAQUE itself binds it to the key of the registration. `device_token` is what an earlier
    login has left there: who keeps it somewhere safe is known again. Every method may raise Unreachable, Unavailable
    and UnexpectedAnswer besides what it names.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: timedelta = TIMEOUT,
        server_public_key: bytes | None = None,
        device_token: str | None = None,
        clock: Clock | None = None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = Transport(
            base_url, session=session, clock=self._clock, timeout_seconds=timeout.total_seconds(), pauses=pauses
        )
        self._box = TokenBox(self._transport, self._clock)
        self._server_public_key = server_public_key
        self._device_token = device_token

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._box.settle()
        await self._transport.close()

    @property
    def tokens(self) -> Tokens | None:
        """The tokens held now, perhaps stale; None when there is no session."""
        return self._box.tokens

    @property
    def device_token(self) -> str | None:
        """The token that this device is known by, a new one after each login that names the device.

        It outlives the session. Strangers who use up the attempts on a name leave those of a known device alone, and
        a trusted one is not asked for the second factor.
        """
        return self._device_token

    async def access_token(self) -> str:
        """Answer an access token that is good for a while, for calls to services that trust this Cypher."""
        return (await self._box.fresh()).access_token

    async def register(self, username: str, password: str) -> RegisteredUser:
        """Register a person.

        Raises UsernameTaken, ValidationFailed, RegistrationClosed, RateLimited, FlowExpired, WrongServer.
        """
        attempt = opaque.start_registration(password)
        start = requests.RegistrationStart(username, attempt.message)
        started = await self._transport.fetch(
            Call(method="POST", path="/v1/registration/start", body=start), answers.RegistrationStarted
        )
        record = await opaque.finish_registration(attempt, started.registration_response, self._server_public_key)
        # The same flow finished twice gives the same answer: a lost one may be asked for again.
        finish = requests.RegistrationFinish(started.flow_id, record)
        done = await self._transport.fetch(
            Call(method="POST", path="/v1/registration/finish", body=finish, repeat_seconds=REPEAT_SECONDS),
            answers.Registered,
        )
        return done.user

    async def login(self, username: str, password: str, *, device: Device | None = None) -> Session:
        """Log in and keep the tokens; with `device`, also the token by which that is known from then on.

        Raises InvalidCredentials, RateLimited (whose `retry_after` says for how many seconds), FlowExpired,
        AccountDisabled, AccountLocked. Nothing is sent a second time by itself.

        FactorRequired means that `prove_factor` must follow.
        A wrong password shows here, before the second message: the service then never hears of the outcome.
        """
        attempt = opaque.start_login(password)
        start = requests.LoginStart(username, attempt.message, self._device_token)
        started = await self._transport.fetch(
            Call(method="POST", path="/v1/login/start", body=start), answers.LoginStarted
        )
        ke3 = await opaque.finish_login(attempt, started.ke2)
        asked_at = self._clock.monotonic()
        finish = requests.LoginFinish(started.flow_id, ke3, device)
        body = await self._transport.send(Call(method="POST", path="/v1/login/finish", body=finish))
        return self._keep_session(_unless_asked(body), asked_at)

    async def prove_factor(
        self,
        asked: FactorRequired,
        code: str,
        method: Literal["totp", "recovery_code"] = "totp",
        *,
        trust_device: bool = False,
    ) -> Session:
        """Finish a login, or a re-authentication, that asked for a second factor.

        `trust_device` skips this step at the next logins of the device that `login` named; where it named none, that
        raises ValidationFailed.
        Raises MfaFailed, after which another code may follow, FactorLocked, FlowExpired, AccountDisabled,
        AccountLocked.
        """
        asked_at = self._clock.monotonic()
        proof = requests.LoginMfa(asked.mfa_token, method, code, trust_device)
        body = await self._transport.send(Call(method="POST", path="/v1/login/mfa", body=proof))
        if read(body, answers.Proof).status == "authenticated":
            return self._keep_session(body, asked_at)
        return await self._keep_renewed(body, asked_at)

    async def reauthenticate(self, password: str) -> Session:
        """Prove the password again on this session. Raises as `login` and `session`.

        FactorRequired means that `prove_factor` must follow.
        """
        attempt = opaque.start_login(password)
        start = requests.ReauthenticationStart(attempt.message)
        started = await self._fetch(
            Call(method="POST", path="/v1/reauthentication/start", body=start), answers.LoginStarted
        )
        ke3 = await opaque.finish_login(attempt, started.ke2)
        asked_at = self._clock.monotonic()
        finish = requests.LoginFinish(started.flow_id, ke3)
        body = await self._send(Call(method="POST", path="/v1/reauthentication/finish", body=finish))
        return await self._keep_renewed(_unless_asked(body), asked_at)

    async def factors(self) -> Factors:
        """Tell which second factors the person has. Raises as `session`."""
        call = Call(method="GET", path="/v1/factors", repeat_seconds=REPEAT_SECONDS)
        found = await self._fetch(call, answers.FactorList)
        return Factors(totp_enabled=found.totp.enabled, recovery_codes=found.recovery_codes.remaining)

    async def enrol_totp(self) -> TotpEnrolment:
        """Begin to enrol an authenticator app. Raises FactorExists, ReauthenticationRequired, and as `session`."""
        return await self._fetch(Call(method="POST", path="/v1/factors/totp"), TotpEnrolment)

    async def confirm_totp(self, code: str) -> tuple[str, ...]:
        """Finish it with the app's first code; answers ten recovery codes, to be kept somewhere safe.

        Raises MfaFailed, FactorLocked, FactorExists, FlowExpired when nothing waits, and as `session`.
        """
        call = Call(method="POST", path="/v1/factors/totp/confirm", body=requests.TotpConfirm(code))
        return (await self._fetch(call, answers.RecoveryCodes)).recovery_codes

    async def remove_totp(self) -> None:
        """Remove the app and its recovery codes. Raises ReauthenticationRequired, and as `session`."""
        await self._send(Call(method="DELETE", path="/v1/factors/totp"))

    async def renew_recovery_codes(self) -> tuple[str, ...]:
        """Draw ten new recovery codes; the old ones end. Raises NotFound without a factor, else as `remove_totp`."""
        return (await self._fetch(Call(method="POST", path="/v1/recovery-codes"), answers.RecoveryCodes)).recovery_codes

    async def session(self) -> Session:
        """Ask for the session. Raises NotLoggedIn, SessionExpired."""
        return await self._fetch(Call(method="GET", path="/v1/session", repeat_seconds=REPEAT_SECONDS), Session)

    async def refresh(self) -> None:
        """Renew the tokens now; every other method does so by itself when it is time. Raises as `session`."""
        if (tokens := self._box.tokens) is None:
            raise NotLoggedIn
        await self._box.renew(tokens)

    async def logout(self) -> None:
        """End the session on every instance, then forget the tokens; a session that is over already is fine.

        After Unreachable or Unavailable the tokens are kept: ask again.
        """
        await self._box.settle()
        if self._box.tokens is None:
            return
        with suppress(SessionExpired, NotLoggedIn):
            await self._send(Call(method="DELETE", path="/v1/session", repeat_seconds=REPEAT_SECONDS))
        self._box.clear()

    async def sessions(self) -> tuple[ListedSession, ...]:
        """List the person's live sessions. Raises as `session`."""
        call = Call(method="GET", path="/v1/sessions", repeat_seconds=REPEAT_SECONDS)
        return (await self._fetch(call, answers.Listed)).items

    async def revoke(self, session_id: UUID) -> None:
        """End one of the person's sessions. Raises NotFound, and as `session`."""
        await self._send(Call(method="DELETE", path=f"/v1/sessions/{session_id}"))

    async def revoke_others(self) -> int:
        """End every session of the person but this one; answers how many. Raises as `session`."""
        call = Call(method="DELETE", path="/v1/sessions", query="scope=others")
        return (await self._fetch(call, answers.Revoked)).revoked

    async def activity(self, *, limit: int = 50, cursor: str | None = None) -> ActivityPage:
        """List what happened to the person's account, newest first. Raises ValidationFailed, and as `session`."""
        query = f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        call = Call(method="GET", path="/v1/account/activity", query=query, repeat_seconds=REPEAT_SECONDS)
        return await self._fetch(call, ActivityPage)

    def _keep_session(self, body: bytes, asked_at: float) -> Session:
        done = read(body, answers.Authenticated)
        self._box.put(done, asked_at)
        self._device_token = done.device_token or self._device_token
        return done.session

    async def _keep_renewed(self, body: bytes, asked_at: float) -> Session:
        renewed = read(body, answers.Reauthenticated)
        await self._box.put_access(renewed, asked_at)
        return renewed.session

    async def _send(self, call: Call) -> bytes:
        """Send `call` with an access token, and once more with a new one where the service refuses the first."""
        tokens = await self._box.fresh()
        try:
            return await self._send_with(tokens, call)
        except (SessionExpired, InvalidCredentials):
            raise
        except Unauthenticated:
            # Over before its time by our clock: a machine that slept does not count the hours.
            renewed = await self._box.renew(tokens)
        return await self._send_with(renewed, call)

    async def _send_with(self, tokens: Tokens, call: Call) -> bytes:
        try:
            return await self._transport.send(replace(call, bearer=tokens.access_token))
        except SessionExpired:
            self._box.forget(tokens)
            raise


def _unless_asked(body: bytes) -> bytes:
    """Return the body of a proof that is whole; raises FactorRequired for one that is half."""
    if read(body, answers.Proof).status == "mfa_required":
        asked = read(body, answers.MfaRequired)
        raise FactorRequired(asked.mfa_token, asked.factors, asked.expires_in)
    return body
