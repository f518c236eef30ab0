"""Logins that end at the same moment share a statement: nobody waits for another's row, or fails with another."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.acceptance.authenticator import enrol
from tests.acceptance.person import Answer, Person

MANY = 12


@pytest.fixture
async def people(person: Person) -> dict[str, Person]:
    """Some people by their ids."""
    people = [Person(person.http, person.url, f"{person.username}-{number}") for number in range(MANY)]
    return {(await each.register()).body["user"]["id"]: each for each in people}


async def prove(people: Iterable[Person]) -> list[tuple[Person, dict[str, Any]]]:
    """Begin a login of each and prove the password, all but sending it."""
    return [(each, each.prove(*await each.start_login())) for each in people]


async def finish(proven: list[tuple[Person, dict[str, Any]]]) -> list[Answer]:
    return await asyncio.gather(*(each.post("/v1/login/finish", proof) for each, proof in proven))


@asynccontextmanager
async def held(service, user_id: str) -> AsyncIterator[None]:
    """Hold a person's row, as a change of their password does."""
    connection = await asyncpg.connect(**service.owner_dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
            yield
    finally:
        await connection.close()


async def test_each_gets_a_session_of_their_own_and_the_trail_tells_of_each(people, service) -> None:
    answers = await finish(await prove(people.values()))
    assert [answer.status for answer in answers] == [200] * MANY
    for (user_id, person), answer in zip(people.items(), answers, strict=True):
        session = answer.body["session"]
        assert (session["user_id"], session["username"]) == (user_id, person.username)
        seen = await person.session(answer.body["access_token"])
        assert (seen.status, seen.body["id"]) == (200, session["id"])
        assert (await person.refresh(answer.body["refresh_token"])).status == 200
    made = [(answer.body["session"]["user_id"], answer.body["session"]["id"]) for answer in answers]
    for action in ("auth.login.succeeded", "session.session.created"):
        told = [(str(entry["user_id"]), str(entry["session_id"])) for entry in await service.audit(action)]
        assert sorted(told) == sorted(made)


async def test_whose_row_is_held_waits_alone(people, service) -> None:
    proven = await prove(people.values())
    async with held(service, next(iter(people))):
        waiting = asyncio.create_task(finish(proven[:1]))
        assert {answer.status for answer in await finish(proven[1:])} == {200}
        assert not waiting.done()
    assert [answer.status for answer in await waiting] == [200]


async def test_whose_name_does_not_open_fails_alone(people, service) -> None:
    proven = await prove(people.values())
    await service.execute(f"UPDATE users SET username = left(username, -8) WHERE id = '{next(iter(people))}'")
    assert [answer.status for answer in await finish(proven)] == [503] + [200] * (MANY - 1)


async def test_whose_secret_does_not_open_logs_in_like_all_others(people, service) -> None:
    proven = await prove(people.values())
    await service.execute(f"UPDATE audit_subjects SET secret = left(secret, -8) WHERE user_id = '{next(iter(people))}'")
    assert [answer.status for answer in await finish(proven)] == [200] * MANY


async def test_who_may_not_log_in_is_refused_alone(people, service) -> None:
    proven, (disabled, locked, *_) = await prove(people.values()), people
    await service.execute(f"UPDATE users SET is_active = FALSE WHERE id = '{disabled}'")
    await service.execute(f"UPDATE users SET locked_until = now() + INTERVAL '1 hour' WHERE id = '{locked}'")
    answers = await finish(proven)
    assert [answer.status for answer in answers] == [403, 403] + [200] * (MANY - 2)
    assert [answer.body["code"] for answer in answers[:2]] == ["account_disabled", "account_locked"]


async def test_one_person_may_log_in_many_times_at_once(person: Person) -> None:
    await person.register()
    answers = await finish(await prove([person] * MANY))
    assert [answer.status for answer in answers] == [200] * MANY
    assert len({answer.body["session"]["id"] for answer in answers}) == MANY


async def test_who_has_a_second_factor_is_asked_for_it_beside_those_who_have_none(people, service) -> None:
    (asked_id, asked), *_ = people.items()
    login = (await asked.login()).body
    await enrol(asked, login["access_token"], service.resources.clock)
    told_before = len(await service.audit("auth.login.succeeded"))
    answers = await finish(await prove(people.values()))
    assert [answer.status for answer in answers] == [200] * MANY
    assert [answer.body["status"] for answer in answers] == ["mfa_required"] + ["authenticated"] * (MANY - 1)
    assert [str(entry["user_id"]) for entry in await service.audit("mfa.challenge.asked")] == [asked_id]
    assert len(await service.audit("auth.login.succeeded")) == told_before + MANY - 1


@pytest.mark.parametrize("enrolled_at_start", [True, False])
async def test_a_factor_that_comes_or_goes_in_the_middle_of_a_login_counts(
    people, service, enrolled_at_start: bool
) -> None:
    """What counts is what is so as the password is proven."""
    user_id, person = next(iter(people.items()))
    login = (await person.login()).body
    await enrol(person, login["access_token"], service.resources.clock)
    change = "UPDATE users SET totp_enabled = {} WHERE id = '" + user_id + "'"
    await service.execute(change.format(enrolled_at_start))
    proven = await prove(people.values())
    await service.execute(change.format(not enrolled_at_start))
    answers = await finish(proven)
    expected = "authenticated" if enrolled_at_start else "mfa_required"
    assert [answer.body["status"] for answer in answers] == [expected] + ["authenticated"] * (MANY - 1)
