"""A run of schemathesis over the operators' routes: whatever is sent, the answer is one that is declared."""

import logging
from pathlib import Path

import pytest

from tests.acceptance.operators.conftest import Desk
from tests.acceptance.person import Person
from tests.acceptance.test_schemathesis import fuzz

pytestmark = pytest.mark.slow


async def test_no_request_of_an_operator_meets_an_answer_that_is_not_declared(
    desk: Desk, http, tmp_path: Path, all_scopes: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    alice = Person(http, desk.service.url, "alice")
    user_id = (await alice.register()).body["user"]["id"]
    await fuzz(f"http://127.0.0.1:{desk.server.port}", await desk.token(*all_scopes), tmp_path)
    assert [record.getMessage() for record in caplog.records] == []
    assert desk.service.resources.ring.healthy
    gone = {str(entry["user_id"]) for entry in await desk.service.audit("admin.user.deleted")}
    if user_id not in gone:  # an id that an answer has shown is tried in other routes as well
        assert (await alice.login()).status in (200, 403)
    bob = Person(http, desk.service.url, "somebody-else")
    assert ((await bob.register()).status, (await bob.login()).status) == (201, 200)
