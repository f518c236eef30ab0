"""The operators' listener reads the same strict JSON as the public one, and quotes no more of what it refuses."""

import logging

import pytest

from tests.acceptance.hostile.bodies_of_json import NOT_JSON
from tests.acceptance.hostile.requests_of_http import CANARY
from tests.acceptance.operators.conftest import SCOPED, Desk, path_of

READING = [route for route in SCOPED if route.handler.reads]


async def test_what_is_not_strict_json_is_bad_json(
    desk: Desk, all_scopes: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": f"Bearer {await desk.token(*all_scopes)}", "Content-Type": "application/json"}
    faults = {}
    for route in READING:
        for what, body in NOT_JSON.items():
            answer = await desk.ask(route.method, path_of(route), headers, data=body)
            if (answer.status, answer.body["code"]) != (400, "bad_json") or CANARY in str(answer):
                faults[route.path, what] = (answer.status, answer.body)
    assert faults == {}
    assert CANARY not in caplog.text
