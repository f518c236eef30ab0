"""A signing key that comes of age is replaced, and whoever verifies tokens by the JWKS never meets an unknown one."""

from datetime import timedelta

import jwt

from cypher.clock import SystemClock
from cypher.crypto.keys import MARGIN
from cypher.crypto.rotation import NOTICE
from tests.acceptance.person import Person
from tests.acceptance.service import Service

AGE = timedelta(days=1)
TOKENS_LIVE = timedelta(hours=1)  #: at most, whatever the settings


class MovedClock(SystemClock):
    """The machine's clock, moved ahead by a test."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


async def published(person: Person) -> list[str]:
    return [key["kid"] for key in (await person.ask("GET", "/.well-known/jwks.json")).body["keys"]]


async def signed_with(person: Person) -> tuple[str, str]:
    """Log in; returns the access token and the id of the key that signed it."""
    token = (await person.login()).body["access_token"]
    return token, jwt.get_unverified_header(token)["kid"]


async def later(service: Service, clock: MovedClock, time: timedelta) -> None:
    """Let time pass, and the service look after its keys."""
    clock.ahead += time
    await service.resources.keys.keep()


async def test_a_signing_key_is_published_before_it_signs_and_until_its_tokens_are_gone(start_service, http) -> None:
    clock = MovedClock()
    service = await start_service(clock, ACCESS_TOKEN_SECONDS="3600", KEY_ROTATION_DAYS="1")
    person = Person(http, service.url, "alice")
    await person.register()
    _, old = await signed_with(person)
    assert await published(person) == [old]
    await later(service, clock, AGE)
    [_, new] = await published(person)
    assert (await signed_with(person))[1] == old
    await later(service, clock, NOTICE - timedelta(minutes=1))
    token, kid = await signed_with(person)
    assert (await published(person), kid) == ([old, new], old)
    await later(service, clock, timedelta(minutes=1))
    assert await published(person) == [new, old]
    assert (await signed_with(person))[1] == new
    # The last token of the old key is good for an hour, here and for whoever goes by the JWKS.
    await later(service, clock, TOKENS_LIVE - timedelta(minutes=2))
    assert (await person.session(token)).status == 200
    assert old in await published(person)
    await later(service, clock, timedelta(minutes=2) + MARGIN)
    assert await published(person) == [new]
    assert (await person.session(token)).status == 401
    entries = await service.audited_actions()
    assert {"crypto.key.prepared", "crypto.key.rotated", "crypto.key.destroyed"} <= set(entries)
