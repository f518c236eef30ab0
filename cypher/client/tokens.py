"""The tokens of one session, and their renewal: once, whoever asks and however many ask together."""

import asyncio
from dataclasses import dataclass, field

from cypher.client.answers import AccessToken, Refreshed
from cypher.client.errors import NotLoggedIn, SessionExpired
from cypher.client.transport import Call, Transport
from cypher.clock import Clock

# A refresh token sent again within the service's grace (10 s) gives the same successor; after it, it counts as
# stolen. A repeat that begins within 5 s is decided in time, because the service ends every request within 5 s.
REPEAT_SECONDS = 5.0
ATTEMPT_SECONDS = 4.0

LEEWAY_SECONDS = 30.0  # renew this long before the access token ends, so that it lives while it travels
LEEWAY_SHARE = 0.1  # but no longer than this share of its life


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The bearer values of one session; `renew_at` by the client's monotonic clock."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    renew_at: float


class TokenBox:
    """Holds the tokens of one client and renews them."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._tokens: Tokens | None = None
        self._renewal: asyncio.Task[None] | None = None

    @property
    def tokens(self) -> Tokens | None:
        return self._tokens

    def put(self, answer: Refreshed, asked_at: float) -> None:
        """Keep the tokens of `answer`; their life counts from `asked_at`, so that a slow answer shortens it."""
        self._keep(answer, answer.refresh_token, asked_at)

    async def put_access(self, answer: AccessToken, asked_at: float) -> None:
        """Keep a new access token of the session at hand, beside its refresh token."""
        # A renewal under way is about to spend that refresh token: its successor must not be lost.
        while self._renewal is not None:
            await self.settle()
        if self._tokens is not None:
            self._keep(answer, self._tokens.refresh_token, asked_at)

    def forget(self, tokens: Tokens | None) -> None:
        """Drop `tokens`, unless others took their place meanwhile."""
        if self._tokens is tokens:
            self._tokens = None

    def clear(self) -> None:
        """Drop whatever is held."""
        self._tokens = None

    async def fresh(self) -> Tokens:
        """Answer tokens that are good for a while, renewed where needed. Raises NotLoggedIn, InvalidGrant."""
        tokens = self._held()
        if self._clock.monotonic() < tokens.renew_at:
            return tokens
        return await self.renew(tokens)

    async def renew(self, stale: Tokens) -> Tokens:
        """Answer tokens newer than `stale`: asks the service once for all who wait."""
        while self._held() is stale:
            if self._renewal is None:
                self._renewal = asyncio.create_task(self._renew(stale))
                self._renewal.add_done_callback(_look_at)
            # Shielded: a caller who gives up must not take the successor away from the others.
            await asyncio.shield(self._renewal)
        return self._held()

    async def settle(self) -> None:
        """Wait for a renewal that is under way, however it ends."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal])

    def _keep(self, answer: AccessToken, refresh_token: str, asked_at: float) -> None:
        leeway = min(LEEWAY_SECONDS, answer.expires_in * LEEWAY_SHARE)
        renew_at = asked_at + answer.expires_in - leeway
        self._tokens = Tokens(access_token=answer.access_token, refresh_token=refresh_token, renew_at=renew_at)

    def _held(self) -> Tokens:
        if self._tokens is None:
            raise NotLoggedIn
        return self._tokens

    async def _renew(self, stale: Tokens) -> None:
        asked_at = self._clock.monotonic()
        try:
            answer = await self._transport.fetch(_refresh(stale.refresh_token), Refreshed)
        except SessionExpired:
            self.forget(stale)
            raise
        else:
            # A login that finished meanwhile stays; the session renewed here is then nobody's and idles out.
            if self._tokens is stale:
                self.put(answer, asked_at)
        finally:
            self._renewal = None


def _look_at(renewal: asyncio.Task[None]) -> None:
    """Take note of how it ended, so that a failure nobody waited for any more is not reported as forgotten."""
    if not renewal.cancelled():
        renewal.exception()


def _refresh(refresh_token: str) -> Call:
    return Call(
        method="POST",
        path="/oauth/token",
        form=(("grant_type", "refresh_token"), ("refresh_token", refresh_token)),
        repeat_seconds=REPEAT_SECONDS,
        timeout_seconds=ATTEMPT_SECONDS,
    )
