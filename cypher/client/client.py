"""The client itself: one person, at most one session."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import aiohttp

from cypher.client import answers, opaque
from cypher.client.answers import ListedSession, RegisteredUser, Session
from cypher.client.errors import NotLoggedIn, SessionExpired, Unauthenticated
from cypher.client.tokens import TokenBox, Tokens
from cypher.client.transport import Call, Transport, read
from cypher.clock import Clock, SystemClock

T = TypeVar("T")

TIMEOUT = timedelta(seconds=10)  # twice what the service gives itself for any request
REPEAT_SECONDS = 20.0  # for calls whose repeat never does harm
PAUSES = (0.1, 0.5)  # before the second and the third attempt, seconds


class CypherClient:
    """Registers, logs in, keeps the tokens fresh and asks about the session.

    `server_public_key` (32 bytes) pins the service's OPAQUE key: registering with any other raises WrongServer.
    A login needs no pin, OPAQUE itself binds it to the key of the registration. Every method may raise
    Unreachable, Unavailable and UnexpectedAnswer besides what it names.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: timedelta = TIMEOUT,
        server_public_key: bytes | None = None,
        clock: Clock | None = None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = Transport(
            base_url, session=session, clock=self._clock, timeout_seconds=timeout.total_seconds(), pauses=pauses
        )
        self._box = TokenBox(self._transport, self._clock)
        self._server_public_key = server_public_key

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

    async def access_token(self) -> str:
        """Answer an access token that is good for a while, for calls to services that trust this Cypher."""
        return (await self._box.fresh()).access_token

    async def register(self, username: str, password: str) -> RegisteredUser:
        """Register a person.

        Raises UsernameTaken, ValidationFailed, RegistrationClosed, RateLimited, FlowExpired, WrongServer.
        """
        attempt = opaque.start_registration(password)
        start = answers.RegistrationStart(username, attempt.message)
        started = await self._transport.fetch(
            Call(method="POST", path="/v1/registration/start", body=start), answers.RegistrationStarted
        )
        record = await opaque.finish_registration(attempt, started.registration_response, self._server_public_key)
        # The same flow finished twice gives the same answer: a lost one may be asked for again.
        finish = answers.RegistrationFinish(started.flow_id, record)
        done = await self._transport.fetch(
            Call(method="POST", path="/v1/registration/finish", body=finish, repeat_seconds=REPEAT_SECONDS),
            answers.Registered,
        )
        return done.user

    async def login(self, username: str, password: str) -> Session:
        """Log in and keep the tokens.

        Raises InvalidCredentials, RateLimited (whose `retry_after` says for how many seconds), FlowExpired,
        AccountDisabled, AccountLocked. Nothing is sent a second time by itself.

        A wrong password shows here, before the second message: the service then never hears of the outcome.
        """
        attempt = opaque.start_login(password)
        started = await self._transport.fetch(
            Call(method="POST", path="/v1/login/start", body=answers.LoginStart(username, attempt.message)),
            answers.LoginStarted,
        )
        ke3 = await opaque.finish_login(attempt, started.ke2)
        asked_at = self._clock.monotonic()
        done = await self._transport.fetch(
            Call(method="POST", path="/v1/login/finish", body=answers.LoginFinish(started.flow_id, ke3)),
            answers.Authenticated,
        )
        self._box.put(done, asked_at)
        return done.session

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

    async def _fetch(self, call: Call, answer: type[T]) -> T:
        return read(await self._send(call), answer)

    async def _send(self, call: Call) -> bytes:
        """Send `call` with an access token, and once more with a new one where the service refuses the first."""
        tokens = await self._box.fresh()
        try:
            return await self._send_with(tokens, call)
        except SessionExpired:
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
