"""Alive, ready, degraded: as the contract has it."""

from cypher.auth.health import health_check
from tests.acceptance.person import Person


async def test_a_whole_service_is_ready(person: Person) -> None:
    live, ready = await person.ask("GET", "/health/live"), await person.ask("GET", "/health/ready")
    assert (live.status, live.body) == (200, {"status": "ok"})
    assert (ready.status, ready.body) == (
        200,
        {"status": "ok", "postgres": True, "redis": True, "migrations": True, "keys": True},
    )


async def test_each_server_is_there_or_not_by_its_name(start_service) -> None:
    whole = await start_service()
    crippled = await start_service(REDIS_URL="redis://127.0.0.1:1/0", REDIS_PASSWORD="")
    opened = (whole.resources, crippled.resources)
    found = [await health_check(each.db, each.redis) for each in opened]
    assert found == [{"postgres": True, "redis": True}, {"postgres": True, "redis": False}]
    await whole.resources.db.close()
    assert await health_check(whole.resources.db, whole.resources.redis) == {"postgres": False, "redis": True}


async def test_without_redis_sessions_go_on_logins_wait_and_a_logout_is_not_claimed(start_service, http) -> None:
    whole, crippled = await start_service(), await start_service(REDIS_URL="redis://127.0.0.1:1/0", REDIS_PASSWORD="")
    person = Person(http, whole.url, "alice")
    await person.register()
    login = (await person.login()).body
    await person.session(login["access_token"])

    person.url = crippled.url
    ready = await person.ask("GET", "/health/ready")
    assert (ready.status, ready.body["status"], ready.body["redis"]) == (200, "degraded", False)
    assert (await person.session(login["access_token"])).status == 200
    started, _ = await person.start_login()
    assert (started.status, started.body["code"]) == (503, "dependency_unavailable")
    assert "Retry-After" in started.headers
    logout = await person.bearing("DELETE", "/v1/session", login["access_token"])
    assert logout.status == 503

    person.url = whole.url
    assert (await person.bearing("DELETE", "/v1/session", login["access_token"])).status == 204
    assert (await person.session(login["access_token"])).status == 401


async def test_draining_is_not_ready_and_still_answers(service, person: Person) -> None:
    await person.register()
    service.server.announce_stop()
    ready = await person.ask("GET", "/health/ready")
    assert (ready.status, ready.body["status"]) == (503, "not ready")
    assert (await person.login()).status == 200


async def test_a_postgres_that_takes_no_changes_is_not_ready(service, person: Person) -> None:
    database = service.config.postgres.database
    await service.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    await service.resources.db._pool.expire_connections()
    ready = await person.ask("GET", "/health/ready")
    assert (ready.status, ready.body["status"], ready.body["postgres"]) == (503, "not ready", False)
    assert (await person.register()).status == 503
