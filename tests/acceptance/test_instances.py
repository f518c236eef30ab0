"""Two instances over one PostgreSQL and one Redis are one service."""

import asyncio

from tests.acceptance.person import Person


async def test_a_login_started_on_one_finishes_on_the_other_and_a_logout_holds_on_both(start_service, http) -> None:
    one, two = await start_service(), await start_service()
    person = Person(http, one.url, "alice")
    await person.register()
    started, state = await person.start_login()
    person.url = two.url
    login = await person.post("/v1/login/finish", person.prove(started, state))
    assert login.status == 200
    token = login.body["access_token"]
    for url in (one.url, two.url):
        person.url = url
        assert (await person.session(token)).status == 200
    person.url = one.url
    assert (await person.bearing("DELETE", "/v1/session", token)).status == 204
    person.url = two.url
    assert (await person.session(token)).status == 401


async def test_sixteen_refreshes_of_one_token_on_two_processes_get_one_successor(two_processes, http) -> None:
    one, two = two_processes
    person = Person(http, one, "alice")
    assert (await person.register()).status == 201
    login = (await person.login()).body
    people = [Person(http, url, "alice") for url in (one, two) * 8]
    answers = await asyncio.gather(*(each.refresh(login["refresh_token"]) for each in people))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["refresh_token"] for answer in answers}) == 1
    await person.bearing("DELETE", "/v1/session", login["access_token"])
    person.url = two
    assert (await person.session(login["access_token"])).status == 401
