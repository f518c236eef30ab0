"""A person sees what happened to the account, all of it and nothing of anybody else's."""

from uuid import UUID

import pytest

from cypher.auth.audit import Happening
from cypher.auth.events import Event
from cypher.client import CypherClient, ValidationFailed
from tests.acceptance.person import Person

PATH = "/v1/account/activity"


async def read(service, person: Person, token: str, query: str = "") -> dict:
    await service.resources.audit.flush(service.resources.db)
    answer = await person.bearing("GET", PATH + query, token)
    assert answer.status == 200, answer.body
    return answer.body


async def test_the_owner_sees_what_happened_newest_first(service, person: Person) -> None:
    person.http.headers["User-Agent"] = "Browser/7"
    await person.register()
    login = (await person.login()).body
    page = await read(service, person, login["access_token"])
    actions = [item["action"] for item in page["items"]]
    assert actions[-1] == "auth.registration.completed"
    assert sorted(actions) == [
        "auth.login.attempted",
        "auth.login.succeeded",
        "auth.registration.completed",
        "session.session.created",
    ]
    times = [item["occurred_at"] for item in page["items"]]
    assert times == sorted(times, reverse=True)
    assert page["next_cursor"] is None
    by_action = {item["action"]: item for item in page["items"]}
    succeeded = by_action["auth.login.succeeded"]
    assert succeeded["session_id"] == login["session"]["id"]
    assert (succeeded["address"], succeeded["user_agent"]) == ("127.0.0.1", "Browser/7")
    assert (succeeded["actor"], by_action["auth.login.attempted"]["actor"]) == ("user", "stranger")
    assert (await read(service, person, login["access_token"]))["items"][0]["action"] == "audit.activity.read"


async def test_guesses_at_the_password_are_counted_together(service, person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    for _ in range(5):
        started, _ = await person.start_login()
        await person.post("/v1/login/finish", {"flow_id": started.body["flow_id"], "ke3": "A" * 86})
    page = await read(service, person, login["access_token"])
    failed = [item for item in page["items"] if item["action"] == "auth.login.failed"]
    assert sum(item["count"] for item in failed) == 5
    assert {(item["outcome"], item["reason"], item["actor"]) for item in failed} == {
        ("failure", "invalid_credentials", "stranger")
    }


async def test_nobody_sees_what_is_somebody_elses(service, person: Person) -> None:
    await person.register()
    other = Person(person.http, person.url, "bob")
    await other.register()
    login = (await other.login()).body
    await person.start_login()
    page = await read(service, other, login["access_token"])
    seen = {item["id"] for item in page["items"]}
    theirs = await service.fetch(f"SELECT id FROM audit_logs WHERE user_id <> '{login['session']['user_id']}'")
    assert theirs
    assert not seen & {str(row["id"]) for row in theirs}


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(service, person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    user_id = login["session"]["user_id"]
    async with service.resources.db.transaction() as repos:
        happenings = [Happening(event=Event.FACTOR_BEGUN, user_id=UUID(user_id))] * 23
        await service.resources.audit.record_all(repos, happenings, None)  # all of one microsecond
    await service.resources.audit.flush(service.resources.db)
    seen, query = [], "?limit=5"
    while True:
        page = (await person.bearing("GET", PATH + query, login["access_token"])).body
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=5&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 27


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=" + "A" * 33, "cursor=" + "A" * 500, "cursor=" + "_" * 32],
)
async def test_a_cursor_or_a_limit_that_is_none_is_refused(service, person: Person, query: str) -> None:
    await person.register()
    token = (await person.login()).body["access_token"]
    answer = await person.bearing("GET", f"{PATH}?{query}", token)
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (422, "/" + query.partition("=")[0])


async def test_without_a_token_there_is_nothing_to_see(service, person: Person) -> None:
    assert (await person.ask("GET", PATH)).status == 401


async def test_the_python_client_lists_it(service) -> None:
    async with CypherClient(service.url) as client:
        await client.register("ada", "correct horse battery staple")
        await client.login("ada", "correct horse battery staple")
        await service.resources.audit.flush(service.resources.db)
        first = await client.activity(limit=1)
        rest = await client.activity(cursor=first.next_cursor)
        with pytest.raises(ValidationFailed):
            await client.activity(cursor="nonsense")
    assert [len(first.items), len(rest.items), rest.next_cursor] == [1, 3, None]
    assert rest.items[-1].action == "auth.registration.completed"
    assert rest.items[-1].address == "127.0.0.1"
