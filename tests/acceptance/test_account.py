"""The account: shown, renamed, exported, deleted."""

import asyncio
import json
from collections import Counter

import pytest

from cypher.auth.export import Export
from cypher.auth.source import Source
from cypher.errors import RedisUnavailable, ValidationFailed
from cypher.operating import people
from tests.acceptance.authenticator import enrol, prove
from tests.acceptance.new_passwords import begin_change, begin_recovery, finish_change, finish_recovery, id_of
from tests.acceptance.person import Answer, Person
from tests.acceptance.service import DEFAULT_LIMITS
from tests.factories import insert_family


@pytest.fixture
async def login(person: Person, service) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


async def rename(person: Person, access_token: str, username: str) -> Answer:
    return await person.bearing("PATCH", "/v1/account", access_token, json={"username": username})


async def delete(person: Person, access_token: str) -> Answer:
    return await person.bearing("DELETE", "/v1/account", access_token)


# -- shown --------------------------------------------------------------------------------------------------


async def test_an_account_is_shown_to_its_owner(person: Person, login, service) -> None:
    shown = await person.bearing("GET", "/v1/account", login["access_token"])
    assert shown.status == 200
    assert (shown.body["id"], shown.body["username"]) == (login["session"]["user_id"], "alice")
    assert shown.body["totp_enabled"] is False
    await enrol(person, login["access_token"], service.resources.clock)
    assert (await person.bearing("GET", "/v1/account", login["access_token"])).body["totp_enabled"] is True


# -- renamed ------------------------------------------------------------------------------------------------


async def test_every_instance_shows_the_new_name_at_once(start_service, http) -> None:
    one, two = await start_service(), await start_service()
    person, elsewhere = Person(http, one.url, "alice"), Person(http, two.url, "alice")
    await person.register()
    mine, other = (await person.login()).body, (await person.login()).body
    for token in (mine["access_token"], other["access_token"]):
        assert (await elsewhere.session(token)).body["username"] == "alice"  # it is cached
    renamed = await rename(person, mine["access_token"], "Zoë")
    assert (renamed.status, renamed.body["username"]) == (200, "zoë")
    for token in (mine["access_token"], other["access_token"]):
        assert (await elsewhere.session(token)).body["username"] == "zoë"
    person.username = "ZOË"
    assert (await person.login()).body["session"]["user_id"] == mine["session"]["user_id"]
    [entry] = await one.audit("account.account.renamed")
    assert entry["user_id"] == id_of(mine)
    assert entry["subject_index"] is None  # a name that somebody has is sealed, not indexed


async def test_the_old_name_is_free_and_opens_nothing(person: Person, login) -> None:
    assert (await rename(person, login["access_token"], "bob")).status == 200
    started, state = await person.start_login()
    with pytest.raises(ValueError, match=r".*"):
        person.prove(started, state)
    assert (await person.register()).status == 201
    newcomer = (await person.login()).body
    assert newcomer["session"]["user_id"] != login["session"]["user_id"]


async def test_a_name_that_is_taken_is_said_at_once_and_nothing_changes(person: Person, login, service) -> None:
    await Person(person.http, person.url, "bob").register()
    before = await service.fetch("SELECT username_index, username FROM users ORDER BY id")
    for name in ("bob", "BOB"):
        refused = await rename(person, login["access_token"], name)
        assert (refused.status, refused.body["code"]) == (409, "username_taken")
    assert await service.fetch("SELECT username_index, username FROM users ORDER BY id") == before
    assert await service.audit("account.account.renamed") == []


async def test_the_same_name_in_another_spelling_changes_nothing(person: Person, login, service) -> None:
    before = await service.fetch("SELECT username FROM users")
    same = await rename(person, login["access_token"], "ALICE")
    assert (same.status, same.body["username"]) == (200, "alice")
    assert await service.fetch("SELECT username FROM users") == before
    assert await service.audit("account.account.renamed") == []


@pytest.mark.parametrize(
    ("username", "code"),
    [
        ("", "length"),
        ("a" * 65, "length"),
        ("two words", "characters"),
        ("tab\tbed", "characters"),
        ("раypal", "mixed_scripts"),
        ("\u202eevil", "characters"),
    ],
)
async def test_a_name_that_nobody_may_have_is_refused_everywhere(
    person: Person, login, service, username: str, code: str
) -> None:
    refused = await rename(person, login["access_token"], username)
    assert (refused.status, refused.body["errors"]) == (422, [{"pointer": "/username", "code": code}])
    asked = await person.post("/v1/recovery/request", {"username": username})
    assert (asked.status, asked.body["errors"]) == (422, [{"pointer": "/username", "code": code}])
    with pytest.raises(ValidationFailed):
        await people(service.resources).create(username)


async def test_a_name_of_sixty_four_characters_may_be_had(person: Person, login) -> None:
    assert (await rename(person, login["access_token"], "a" * 64)).body["username"] == "a" * 64


async def test_no_name_is_given_while_names_are_indexed_anew(person: Person, login, service) -> None:
    connection = await service.resources.db._pool.acquire()
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('cypher.names', 0))")
            refused = await rename(person, login["access_token"], "bob")
        assert (refused.status, refused.body["code"]) == (503, "dependency_unavailable")
    finally:
        await service.resources.db._pool.release(connection)
    assert (await rename(person, login["access_token"], "bob")).status == 200


async def test_names_can_be_asked_for_by_renaming_no_oftener_than_by_registering(start_service, http) -> None:
    service = await start_service(**DEFAULT_LIMITS)
    person = Person(http, service.url, "alice")
    await person.register()
    token = (await person.login()).body["access_token"]
    answers = [(await rename(person, token, "alice")).status for _ in range(5)]
    assert answers == [200] * 4 + [429]  # the registration was the first of five


async def test_of_a_rename_and_a_registration_of_one_name_one_gets_it(person: Person, login) -> None:
    token = login["access_token"]
    for round_ in range(10):
        name = f"wanted-{round_}"
        newcomer = Person(person.http, person.url, name)
        body = newcomer.record(*await newcomer.start_registration())
        renamed, registered = await asyncio.gather(
            rename(person, token, name), newcomer.post("/v1/registration/finish", body)
        )
        assert sorted((renamed.status, registered.status)) in ([200, 409], [201, 409]), (renamed, registered)


async def test_of_eight_people_who_want_one_name_at_once_one_gets_it(person: Person, login) -> None:
    tokens = []
    for number in range(8):
        one = Person(person.http, person.url, f"person-{number}")
        await one.register()
        tokens.append((await one.login()).body["access_token"])
    answers = await asyncio.gather(*(rename(person, token, "wanted") for token in tokens))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 7}


async def test_two_people_who_swap_names_at_once_get_an_answer(person: Person, login) -> None:
    bob = Person(person.http, person.url, "bob")
    await bob.register()
    theirs = (await bob.login()).body
    answers = await asyncio.gather(
        rename(person, login["access_token"], "bob"), rename(bob, theirs["access_token"], "alice")
    )
    # Each name is somebody's until the other lets go of it: both are refused, or one waited in vain.
    assert {answer.status for answer in answers} <= {409, 503}


# -- exported -----------------------------------------------------------------------------------------------


async def test_an_export_holds_all_that_is_kept_and_no_proof_of_who_they_are(person: Person, login, service) -> None:
    app, codes = await enrol(person, login["access_token"], service.resources.clock)
    await person.refresh(login["refresh_token"])
    asked = await person.login(device={"fingerprint": "print", "name": "Laptop", "info": {"model": "x"}})
    assert (await prove(person, asked, app.wrong_code())).status == 401
    assert (await prove(person, asked, codes[0], "recovery_code")).status == 200
    token = await people(service.resources).issue_recovery(id_of(login))
    bob = Person(person.http, person.url, "bob")
    await bob.register()
    await bob.login(device={"fingerprint": "print-of-bob"})

    exported = (await person.bearing("GET", "/v1/account/export", login["access_token"])).body
    assert exported["account"]["username"] == "alice"
    assert len(exported["sessions"]) == 2
    assert {session["ip_address"] for session in exported["sessions"]} == {"127.0.0.1"}
    assert len(exported["refresh_tokens"]) == 3
    assert exported["refresh_tokens"][0]["user_agent"]
    [device] = exported["devices"]
    assert (device["fingerprint"], device["name"], device["model"]) == ("print", "Laptop", "x")
    assert len(exported["recovery_codes"]) == 10
    assert sum(code["used_at"] is not None for code in exported["recovery_codes"]) == 1
    assert [token_["used_at"] for token_ in exported["recovery_tokens"]] == [None]
    assert len(exported["wrong_codes"]) == 1

    [row] = await service.fetch("SELECT * FROM users WHERE totp_enabled")
    text = json.dumps(exported)
    record = await service.record_of("alice")
    secrets = [app.secret, token.recovery_token, codes[1], record.hex(), row["opaque_credential_id"].hex(), "bob"]
    assert [secret for secret in secrets if secret in text] == []
    assert [entry["user_id"] for entry in await service.audit("account.account.exported")] == [id_of(login)]


async def test_an_export_holds_sessions_that_are_over_as_well(person: Person, login) -> None:
    await person.login()
    await person.bearing("DELETE", "/v1/sessions?scope=others", login["access_token"])
    exported = (await person.bearing("GET", "/v1/account/export", login["access_token"])).body
    assert [session["revoked_reason"] for session in exported["sessions"]] == ["others", None]


@pytest.mark.parametrize("most", [1, 50, 119, 120, 1000])
async def test_an_export_is_bounded_and_leaves_nothing_out_below(person: Person, login, service, most: int) -> None:
    resources = service.resources
    for _ in range(119):
        await insert_family(resources.db, id_of(login))
    validated = await service.services.sessions.validate(login["access_token"])
    export = Export(db=resources.db, audit=resources.audit, clock=resources.clock, most=most)
    document = await export.export(validated.session, source())
    expected = min(most, 120)
    assert len({session.id for session in document.sessions}) == len(document.sessions) == expected
    assert len(document.refresh_tokens) == expected
    assert [session.id for session in document.sessions] == sorted(
        (session.id for session in document.sessions), reverse=True
    )
    moments = [token.issued_at for token in document.refresh_tokens]
    assert moments == sorted(moments, reverse=True)


def source() -> Source:
    return Source(address="127.0.0.1", user_agent="x", request_id="request-1")


# -- deleted ------------------------------------------------------------------------------------------------


async def test_a_deleted_account_is_gone_with_all_its_rows_on_every_instance(start_service, http) -> None:
    one, two = await start_service(), await start_service()
    person, elsewhere = Person(http, one.url, "alice"), Person(http, two.url, "alice")
    await person.register()
    mine = (await person.login()).body
    _, codes = await enrol(person, mine["access_token"], one.resources.clock)
    other = (await prove(person, await person.login(), codes[0], "recovery_code")).body
    await people(one.resources).issue_recovery(id_of(mine))
    for token in (mine["access_token"], other["access_token"]):
        assert (await elsewhere.session(token)).status == 200  # it is cached
    assert (await delete(person, other["access_token"])).status == 204
    tables = ("users", "user_sessions", "refresh_tokens", "recovery_codes", "recovery_tokens", "factor_failures")
    for table in tables:
        assert await one.fetch(f"SELECT 1 FROM {table}") == [], table
    for token in (mine["access_token"], other["access_token"]):
        refused = await elsewhere.session(token)
        assert (refused.status, refused.body["code"]) == (401, "session_expired")
        for path in ("/v1/account", "/v1/account/export", "/v1/sessions", "/v1/factors"):
            assert (await elsewhere.bearing("GET", path, token)).body["code"] == "session_expired"
    assert (await elsewhere.refresh(mine["refresh_token"])).body["error"] == "invalid_grant"
    assert "account.account.deleted" in await one.audited_actions()
    # The name is free, and what registers under it is somebody else.
    assert (await person.register()).status == 201
    newcomer = (await person.login()).body
    assert newcomer["session"]["user_id"] != mine["session"]["user_id"]
    assert (await elsewhere.session(mine["access_token"])).status == 401


async def test_no_flow_can_end_that_began_before_a_deletion(person: Person, login, service) -> None:
    token = await people(service.resources).issue_recovery(id_of(login))
    begun_login, state = await person.start_login()
    login_proof = person.prove(begun_login, state)
    recovery = await begin_recovery(person, token.recovery_token)
    password = await begin_change(person, login["access_token"])
    assert (await delete(person, login["access_token"])).status == 204
    assert (await person.post("/v1/login/finish", login_proof)).status == 410
    assert (await finish_recovery(person, recovery)).status == 410
    assert (await finish_change(person, login["access_token"], password)).status == 401


async def test_a_second_step_cannot_end_that_began_before_a_deletion(person: Person, login, service) -> None:
    _, codes = await enrol(person, login["access_token"], service.resources.clock)
    asked = await person.login()
    await people(service.resources).delete(id_of(login))
    assert (await prove(person, asked, codes[0], "recovery_code")).status == 410


async def test_a_refresh_that_races_a_deletion_leaves_nothing(person: Person, service) -> None:
    for _ in range(8):
        assert (await person.register()).status == 201
        login = (await person.login()).body
        refreshed, deleted = await asyncio.gather(
            person.refresh(login["refresh_token"]), delete(person, login["access_token"])
        )
        assert deleted.status == 204
        assert refreshed.status in (200, 400)
        if refreshed.status == 200:
            assert (await person.session(refreshed.body["access_token"])).status == 401
            assert (await person.refresh(refreshed.body["refresh_token"])).status == 400
        assert await service.fetch("SELECT 1 FROM refresh_tokens") == []
        assert await service.fetch("SELECT 1 FROM user_sessions") == []


async def test_of_four_deletions_at_once_one_is_done(person: Person, login, service) -> None:
    answers = await asyncio.gather(*(delete(person, login["access_token"]) for _ in range(4)))
    assert Counter(answer.status for answer in answers) == {204: 1, 401: 3}
    assert len(await service.audit("account.account.deleted")) == 1


async def test_a_login_that_races_a_deletion_leaves_nobody(person: Person, service) -> None:
    for _ in range(5):
        await person.register()
        login = (await person.login()).body
        begun, state = await person.start_login()
        raced, deleted = await asyncio.gather(
            person.post("/v1/login/finish", person.prove(begun, state)), delete(person, login["access_token"])
        )
        assert deleted.status == 204
        assert raced.status in (200, 410)
        if raced.status == 200:
            assert (await person.session(raced.body["access_token"])).status == 401
        assert await service.fetch("SELECT 1 FROM user_sessions") == []


async def test_without_redis_a_deletion_stands_and_is_not_said_to_be_done(
    person: Person, login, service, monkeypatch
) -> None:
    async def away(*arguments: object, **options: object) -> None:
        raise RedisUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(type(service.resources.redis), "set_each", away)
        assert (await delete(person, login["access_token"])).status == 503
    assert await service.fetch("SELECT 1 FROM users") == []
    assert (await delete(person, login["access_token"])).body["code"] == "session_expired"


async def test_a_deletion_of_somebody_who_was_here_for_long_takes_no_longer_than_a_request(
    person: Person, login, service
) -> None:
    await service.execute(
        "INSERT INTO user_sessions (session_id, user_id, session_data, session_data_key_id, ip_address,"
        " ip_address_key_id, aal, idle_expires_at, expires_at)"
        " SELECT gen_random_uuid(), id, 'x', 'x', 'x', 'x', 1, now(), now() FROM users, generate_series(1, 100)"
    )
    await service.execute(
        "INSERT INTO refresh_tokens (token_hash, session_id, user_id)"
        " SELECT sha256((session_id::text || n)::bytea), session_id, user_id"
        " FROM user_sessions, generate_series(1, 300) n WHERE session_data = 'x'"
    )
    assert (await delete(person, login["access_token"])).status == 204
    assert await service.fetch("SELECT 1 FROM refresh_tokens LIMIT 1") == []
