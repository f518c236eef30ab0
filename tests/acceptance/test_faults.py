"""What goes wrong underneath is a 503 that may be asked again, and nothing is half done."""

import uuid

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


async def test_without_its_audit_entry_a_change_does_not_happen(service, person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    await service.execute("REVOKE INSERT ON audit_logs FROM cypher_service")
    other = Person(person.http, person.url, "bob")
    refused = [
        await other.register(),
        await person.refresh(login["refresh_token"]),
        await person.bearing("DELETE", "/v1/session", login["access_token"]),
    ]
    assert [answer.status for answer in refused] == [503] * 3
    assert all("Retry-After" in answer.headers for answer in refused)
    await service.execute("GRANT INSERT ON audit_logs TO cypher_service")
    assert (await person.session(login["access_token"])).status == 200
    assert (await person.refresh(login["refresh_token"])).status == 200
    assert (await other.register()).status == 201


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
