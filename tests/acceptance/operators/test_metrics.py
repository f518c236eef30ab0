"""/metrics: every number moves with what it counts, and nothing in it is about a person."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cypher.client import CypherClient
from cypher.clock import SystemClock
from tests.acceptance.authenticator import enrol, prove
from tests.acceptance.operators.conftest import Desk, OpenDesk
from tests.acceptance.person import Person
from tests.acceptance.service import ROOT

DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')
Sample = tuple[str, frozenset[tuple[str, str]]]


async def read(desk: Desk) -> dict[Sample, float]:
    """Return every sample by its name and its labels."""
    answer = await desk.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: dict[Sample, float] = {}
    for line in answer.body.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[match[1], frozenset(LABEL.findall(match[2] or ""))] = float(match[3])
    return found


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


class Moved:
    """How far numbers have moved between two looks."""

    def __init__(self, before: dict[Sample, float], after: dict[Sample, float]) -> None:
        self.before, self.after = before, after

    def __call__(self, name: str, **labels: str) -> float:
        return value(self.after, name, **labels) - value(self.before, name, **labels)


@pytest.fixture
async def person(desk: Desk, http: Any) -> Person:
    return Person(http, desk.service.url, "alice")


async def test_requests_are_counted_by_route_and_status_with_their_time(desk: Desk, person: Person) -> None:
    before = await read(desk)
    await person.register()
    await person.session("no token")
    await person.ask("GET", "/nowhere/alice")
    moved = Moved(before, await read(desk))
    finish = {"method": "POST", "route": "/v1/registration/finish"}
    assert moved("cypher_requests_total", status="201", **finish) == 1
    assert moved("cypher_requests_total", method="GET", route="/v1/session", status="401") == 1
    assert moved("cypher_requests_total", method="-", route="-", status="404") == 1
    assert moved("cypher_request_seconds_count", **finish) == 1
    assert moved("cypher_request_seconds_bucket", le="+Inf", **finish) == 1
    assert 0 < moved("cypher_request_seconds_sum", **finish) < 10


async def test_logins_are_counted_by_outcome_and_factor(desk: Desk, person: Person) -> None:
    await person.register()
    before = await read(desk)
    token = (await person.login()).body["access_token"]
    started, _ = await person.start_login()
    refused = await person.post("/v1/login/finish", {"flow_id": started.body["flow_id"], "ke3": "A" * 86})
    assert refused.status == 401
    app, _ = await enrol(person, token, SystemClock())
    assert (await prove(person, await person.login(), "000000")).status == 401
    assert (await prove(person, await person.login(), app.code(1))).status == 200
    moved = Moved(before, await read(desk))
    assert moved("cypher_logins_total", outcome="success", factor="opaque") == 1
    assert moved("cypher_logins_total", outcome="invalid_credentials", factor="opaque") == 1
    assert moved("cypher_logins_total", outcome="mfa_failed", factor="totp") == 1
    assert moved("cypher_logins_total", outcome="success", factor="totp") == 1


async def test_the_cache_is_counted_by_what_it_answers(desk: Desk, open_desk: OpenDesk, person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    before = await read(desk)
    assert (await person.session(login["access_token"])).status == 200
    await desk.service.take_from_redis("session")
    assert (await person.session(login["access_token"])).status == 200
    moved = Moved(before, await read(desk))
    assert [moved("cypher_session_lookups_total", result=result) for result in ("hit", "miss")] == [1, 1]

    alone = await open_desk(REDIS_URL="redis://127.0.0.1:1/0", REDIS_PASSWORD="")
    before = await read(alone)
    person.url = alone.service.url
    assert (await person.session(login["access_token"])).status == 200
    assert (await person.bearing("DELETE", "/v1/session", login["access_token"])).status == 503
    moved = Moved(before, await read(alone))
    assert moved("cypher_session_lookups_total", result="away") >= 1
    assert moved("cypher_revocations_unconfirmed_total") == 1
    up = {name: value(moved.after, "cypher_dependency_up", dependency=name) for name in ("postgres", "redis", "keys")}
    assert up == {"postgres": 1, "redis": 0, "keys": 1}


async def test_refusals_are_counted_by_the_limit_that_refuses(open_desk: OpenDesk, http: Any) -> None:
    desk = await open_desk(RATE_LIMIT_LOGIN_ADDRESS="1/60")
    person = Person(http, desk.service.url, "alice")
    before = await read(desk)
    assert [(await person.start_login())[0].status for _ in range(3)] == [200, 429, 429]
    assert Moved(before, await read(desk))("cypher_limit_refusals_total", category="login-address") == 2


async def test_revocations_are_timed_until_no_instance_answers(desk: Desk, person: Person) -> None:
    await person.register()
    token = (await person.login()).body["access_token"]
    before = await read(desk)
    assert (await person.bearing("DELETE", "/v1/session", token)).status == 204
    moved = Moved(before, await read(desk))
    assert moved("cypher_revocation_seconds_count") == 1
    assert 0 < moved("cypher_revocation_seconds_sum") < 5


async def test_what_the_trail_does_not_take_is_counted(desk: Desk, person: Person) -> None:
    await person.register()
    token = (await person.login()).body["access_token"]
    await desk.service.resources.audit.flush(desk.service.resources.db)
    before = await read(desk)
    await desk.service.execute("REVOKE INSERT ON audit_logs FROM cypher_service")
    assert (await Person(person.http, person.url, "bob").register()).status == 503
    assert (await person.bearing("DELETE", "/v1/session", token)).status == 204
    moved = Moved(before, await read(desk))
    assert moved("cypher_audit_unrecorded_total", what="refused") >= 1
    assert moved("cypher_audit_unrecorded_total", what="emergency") == 1
    assert moved("cypher_audit_held") >= 1
    await desk.service.execute("GRANT INSERT ON audit_logs TO cypher_service")


async def test_the_trail_lags_until_it_is_sealed(desk: Desk, person: Person) -> None:
    await desk.service.seal()
    assert value(await read(desk), "cypher_audit_lag_entries") == 0
    await person.register()
    found = await read(desk)
    assert value(found, "cypher_audit_lag_entries") >= 1
    assert value(found, "cypher_audit_lag_seconds") > 0


async def test_pools_and_keys_say_how_much_is_used(desk: Desk, person: Person) -> None:
    before = await read(desk)
    async with desk.service.resources.db.connection():
        await person.register()
        moved = Moved(before, await read(desk))
    assert moved("cypher_pool_connections", pool="requests", state="lent") == 1
    assert value(before, "cypher_pool_connections", pool="requests", state="most") == 10
    assert value(before, "cypher_pool_connections", pool="upkeep", state="most") == 8
    assert value(before, "cypher_processes") == 1
    assert moved("cypher_key_operations") > 0
    assert value(before, "cypher_key_operations_limit") == 1_000_000
    for purpose in ("data", "signing", "cache"):
        assert value(before, "cypher_key_age_seconds", purpose=purpose) > 0
        assert moved("cypher_key_age_seconds", purpose=purpose) > 0


async def test_without_postgresql_the_rest_is_told(desk: Desk) -> None:
    await desk.service.resources.db.close()
    await desk.service.resources.upkeep.close()
    found = await read(desk)
    assert value(found, "cypher_dependency_up", dependency="postgres") == 0
    assert not [name for name, _ in found if name.startswith("cypher_audit_lag")]
    assert value(found, "cypher_key_age_seconds", purpose="data") > 0


async def test_nothing_of_a_person_is_in_it(desk: Desk, person: Person) -> None:
    registered = await person.register()
    login = (await person.login()).body
    await person.bearing("DELETE", f"/v1/sessions/{login['session']['id']}", login["access_token"])
    async with CypherClient(desk.service.url) as client:
        await client.request_recovery("alice")
    told = (await desk.ask("GET", "/metrics")).body
    for mark in ("alice", "127.0.0.1", registered.body["user"]["id"], login["session"]["id"]):
        assert mark not in told


async def test_through_a_proxy_it_asks_for_a_viewers_token(desk: Desk) -> None:
    for header in ("X-Forwarded-For", "Forwarded"):
        far = {header: "192.0.2.7"}
        assert (await desk.ask("GET", "/metrics", far)).status == 401
        for scope, status in (("viewer", 200), ("operator", 403)):
            bearer = {"Authorization": f"Bearer {await desk.token(scope)}"}
            assert (await desk.ask("GET", "/metrics", far | bearer)).status == status
    assert (await desk.ask("HEAD", "/metrics")).status == 200


def queries(panel: Any) -> Iterator[str]:
    """Yield every query in a part of a dashboard."""
    if isinstance(panel, list):
        for each in panel:
            yield from queries(each)
    elif isinstance(panel, dict):
        for name, each in panel.items():
            if name in ("expr", "query") and isinstance(each, str):
                yield each
            else:
                yield from queries(each)


async def test_the_dashboard_asks_for_every_metric_and_for_no_other(desk: Desk) -> None:
    told = (await desk.ask("GET", "/metrics")).body
    there: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", told, re.M):
        there |= {f"{name}{part}" for part in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    asked = set(re.findall(r"\bcypher_\w+", " ".join(queries(json.loads(DASHBOARD.read_text())))))
    assert asked - there == set()
    # Of one histogram the mean is shown as well; of the other the quantiles do.
    assert there - asked == {"cypher_revocation_seconds_sum", "cypher_revocation_seconds_count"}


async def test_the_public_listener_has_no_metrics(person: Person) -> None:
    assert (await person.ask("GET", "/metrics")).status == 404
