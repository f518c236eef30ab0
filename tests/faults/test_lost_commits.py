"""The answer to a COMMIT is lost: what was done is unknown to whoever asked, and asking again tells."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.acceptance.person import Answer, Person
from tests.contract import watched_client
from tests.faults.world import OwnServers, World, world

pytestmark = pytest.mark.slow

SUCCESSORS = "SELECT parent_hash FROM refresh_tokens WHERE parent_hash IS NOT NULL"


@pytest.fixture
async def around(own_servers: OwnServers) -> AsyncIterator[World]:
    async with world(own_servers, frozenset({"postgres"}), instances=1) as around:
        yield around


@pytest.fixture
async def person(around: World) -> AsyncIterator[Person]:
    async with watched_client() as http:
        yield Person(http, around.urls[0], "alice")


async def unheard(around: World, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask while no COMMIT is answered, whoever makes it."""
    lost = around.to_postgres.lost
    around.to_postgres.lose_commits()
    answer = await ask()
    around.to_postgres.lose_commits(most=0)
    assert around.to_postgres.lost > lost
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    return answer


def rows(around: World, query: str) -> list[tuple[object, ...]]:
    with around.superuser() as connection:
        return connection.execute(query.encode()).fetchall()


async def test_a_registration_and_a_refresh_give_the_same_when_they_are_asked_again(
    around: World, person: Person
) -> None:
    body = person.record(*await person.start_registration())
    await unheard(around, lambda: person.post("/v1/registration/finish", body))
    ((made,),) = rows(around, "SELECT id FROM users")
    again = [await person.post("/v1/registration/finish", body) for _ in range(2)]
    assert [(answer.status, answer.body["user"]["id"]) for answer in again] == [(201, str(made))] * 2

    login = (await person.login()).body
    await unheard(around, lambda: person.refresh(login["refresh_token"]))
    assert len(rows(around, SUCCESSORS)) == 1
    again = [await person.refresh(login["refresh_token"]) for _ in range(2)]
    assert [answer.status for answer in again] == [200, 200]
    (successor,) = {answer.body["refresh_token"] for answer in again}
    assert len(rows(around, SUCCESSORS)) == 1
    assert (await person.refresh(successor)).status == 200


async def test_a_logout_is_acknowledged_when_it_is_asked_again_and_a_login_begins_anew(
    around: World, person: Person
) -> None:
    await person.register()
    login = (await person.login()).body
    await unheard(around, lambda: person.bearing("DELETE", "/v1/session", login["access_token"]))
    assert (await person.bearing("DELETE", "/v1/session", login["access_token"])).status == 204
    assert (await person.session(login["access_token"])).status == 401

    started, state = await person.start_login()
    proof = person.prove(started, state)
    await unheard(around, lambda: person.post("/v1/login/finish", proof))
    assert (await person.post("/v1/login/finish", proof)).status == 410
    assert (await person.login()).status == 200
    assert len(rows(around, "SELECT FROM user_sessions")) == 3
