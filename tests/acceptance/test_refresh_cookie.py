"""The refresh cookie against a running service: from the login over refreshes and the second factor to the logout."""

from http.cookies import Morsel, SimpleCookie

import pytest

from tests.acceptance.authenticator import HandClock, enrol, prove
from tests.acceptance.person import Answer, Person
from tests.wire import send

OWN = "https://auth.example"
NAME = "__Secure-cypher_refresh"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def service(start_service, clock):
    return await start_service(clock, PUBLIC_ORIGIN=OWN)


def cookie_of(answer: Answer) -> Morsel[str]:
    [(name, morsel)] = SimpleCookie(answer.headers["Set-Cookie"]).items()
    assert name == NAME
    return morsel


async def refresh(person: Person, token: str, origin: str = OWN) -> Answer:
    headers = {"Cookie": f"{NAME}={token}", "Origin": origin}
    return await person.ask("POST", "/oauth/token", data={"grant_type": "refresh_token"}, headers=headers)


async def test_a_session_lives_on_its_cookie_until_the_logout(person: Person) -> None:
    await person.register()
    login = await person.login(refresh_cookie=True)
    assert "refresh_token" not in login.body
    token = cookie_of(login).value
    assert token.startswith("cyr_")
    for _ in range(3):
        refreshed = await refresh(person, token)
        assert refreshed.status == 200
        assert "refresh_token" not in refreshed.body
        assert (await person.session(refreshed.body["access_token"])).body["id"] == login.body["session"]["id"]
        # A lost answer: the same cookie again gives the same successor.
        assert cookie_of(await refresh(person, token)).value == cookie_of(refreshed).value
        token = cookie_of(refreshed).value
    assert (await refresh(person, token, "https://evil.example")).body["error"] == "origin_not_allowed"
    assert (await person.refresh(token)).status == 200  # refused above, and not spent
    gone = await person.bearing("DELETE", "/v1/session", refreshed.body["access_token"])
    assert (gone.status, cookie_of(gone).value, cookie_of(gone)["max-age"]) == (204, "", "0")
    over = await refresh(person, token)
    assert (over.status, over.body["error"]) == (400, "invalid_grant")
    assert (cookie_of(over).value, cookie_of(over)["max-age"]) == ("", "0")


async def test_a_cookie_that_was_copied_ends_the_session(person: Person, service) -> None:
    await person.register()
    login = await person.login(refresh_cookie=True)
    stolen = cookie_of(login).value
    fresh = await refresh(person, stolen)
    await service.execute("UPDATE refresh_tokens SET consumed_at = consumed_at - INTERVAL '11 seconds'")
    reused = await refresh(person, stolen)
    assert (reused.body["error"], cookie_of(reused)["max-age"]) == ("invalid_grant", "0")
    assert (await person.session(fresh.body["access_token"])).status == 401


async def test_a_cookie_that_is_no_text_is_no_token(service) -> None:
    head = f"POST /oauth/token HTTP/1.1\r\nHost: x\r\nOrigin: {OWN}\r\nCookie: {NAME}=cyr_\xff\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 24\r\n\r\ngrant_type=refresh_token"
    [answer] = await send(service.server.port, (head + form).encode("latin-1"))
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")


async def test_the_choice_travels_through_the_second_factor(person: Person, clock) -> None:
    await person.register()
    app, _ = await enrol(person, (await person.login()).body["access_token"], clock)
    asked = await person.login(refresh_cookie=True, device={"fingerprint": "print"})
    assert "Set-Cookie" not in asked.headers
    done = await prove(person, asked, app.code(1), trust_device=True)
    assert "refresh_token" not in done.body
    assert (await refresh(person, cookie_of(done).value)).status == 200
    # And a trusted device has it without one.
    trusted = await person.login(done.body["device_token"], refresh_cookie=True)
    assert trusted.body["status"] == "authenticated"
    assert (await refresh(person, cookie_of(trusted).value)).status == 200
    clock.next_step()
    asked = await person.login()
    in_body = await prove(person, asked, app.code(1))
    assert "Set-Cookie" not in in_body.headers
    assert in_body.body["refresh_token"].startswith("cyr_")
