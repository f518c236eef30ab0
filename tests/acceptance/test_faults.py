"""What goes wrong underneath is a 503 that may be asked again, and nothing is half done."""

import json
import logging
import uuid

from cypher.clock import SystemClock
from tests.acceptance.authenticator import enrol, prove
from tests.acceptance.new_passwords import NEW, begin_change, finish_change, opens
from tests.acceptance.person import Person


async def test_cut_connections_are_made_anew(servers, service, person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    with servers.superuser() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [service.config.postgres.database],
        )
    statuses = [(await person.bearing("GET", "/v1/sessions", login["access_token"])).status for _ in range(3)]
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200


NO_TRAIL = "REVOKE INSERT ON audit_logs FROM cypher_service"
A_TRAIL = "GRANT INSERT ON audit_logs TO cypher_service"


async def test_without_its_audit_entry_a_change_does_not_happen(service, person: Person) -> None:
    await person.register()
    app, _ = await enrol(person, (await person.login()).body["access_token"], SystemClock())
    login = (await prove(person, await person.login(), app.code(1))).body
    await service.execute(NO_TRAIL)
    other = Person(person.http, person.url, "bob")
    refused = [
        await other.register(),
        await person.refresh(login["refresh_token"]),
        await person.bearing("DELETE", "/v1/factors/totp", login["access_token"]),
        await person.bearing("POST", "/v1/recovery-codes", login["access_token"]),
        await person.ask("POST", "/oauth/revoke", data={"token": login["access_token"]}),
    ]
    assert [answer.status for answer in refused] == [503] * 5
    assert all("Retry-After" in answer.headers for answer in refused)
    await service.execute(A_TRAIL)
    assert (await person.session(login["access_token"])).status == 200
    assert (await person.bearing("GET", "/v1/factors", login["access_token"])).body == {
        "totp": {"enabled": True},
        "recovery_codes": {"remaining": 10},
    }
    assert (await person.refresh(login["refresh_token"])).status == 200
    assert (await other.register()).status == 201


async def test_without_the_trail_neither_password_nor_name_nor_account_changes(service, person: Person) -> None:
    await person.register()
    token = (await person.login()).body["access_token"]
    body = await begin_change(person, token)
    await service.execute(NO_TRAIL)
    refused = [
        await finish_change(person, token, body),
        await person.bearing("PATCH", "/v1/account", token, json={"username": "zoe"}),
        await person.bearing("DELETE", "/v1/account", token),
    ]
    assert [answer.status for answer in refused] == [503] * 3
    await service.execute(A_TRAIL)
    assert (await person.session(token)).body["username"] == person.username
    assert [await opens(person, password) for password in (NEW, person.password)] == [False, True]


async def test_without_the_trail_sessions_still_end_and_are_recorded_in_the_log_and_later(
    service, person: Person, caplog
) -> None:
    await person.register()
    logins = [(await person.login()).body for _ in range(5)]
    stolen = logins[0]["refresh_token"]
    await person.refresh((await person.refresh(stolen)).body["refresh_token"])
    await service.execute("UPDATE refresh_tokens SET consumed_at = consumed_at - INTERVAL '1 hour'")
    await service.execute(NO_TRAIL)
    with caplog.at_level(logging.ERROR):
        ended = [
            await person.refresh(stolen),
            await person.bearing("DELETE", "/v1/session", logins[1]["access_token"]),
            await person.ask("POST", "/oauth/revoke", data={"token": logins[2]["refresh_token"]}),
            await person.bearing("DELETE", "/v1/sessions?scope=all", logins[3]["access_token"]),
        ]
    assert [answer.status for answer in ended] == [400, 204, 200, 200]
    assert {(await person.session(login["access_token"])).status for login in logins} == {401}
    told = [
        json.loads(line.getMessage().split("trail: ")[1]) for line in caplog.records if line.levelname == "CRITICAL"
    ]
    actions = ["token.refresh.reused", "session.session.ended", "session.session.ended", "session.sessions.ended"]
    assert [each["action"] for each in told] == actions
    assert [each["session_id"] for each in told] == [*(login["session"]["id"] for login in logins[:3]), None]
    assert "127.0.0.1" not in str(told)

    await service.resources.audit.flush(service.resources.db)
    assert service.resources.audit.held >= 4
    await service.execute(A_TRAIL)
    recorded = [await service.audit(action) for action in dict.fromkeys(actions)]
    assert [len(entries) for entries in recorded] == [1, 2, 1]
    assert service.resources.audit.held == 0


async def test_a_field_that_does_not_open_is_503_for_that_person_only_and_in_the_trail(service, person: Person) -> None:
    registered = await person.register()
    other = Person(person.http, person.url, "bob")
    await other.register()
    user_id = uuid.UUID(registered.body["user"]["id"])
    await service.execute(f"UPDATE users SET opaque_record = left(opaque_record, -8) WHERE id = '{user_id}'")
    broken, _ = await person.start_login()
    assert (broken.status, broken.body["code"]) == (503, "dependency_unavailable")
    assert (await other.login()).status == 200
    assert "crypto.open_failed" in await service.audited_actions()
