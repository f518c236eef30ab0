"""One line an event, whatever is in it, and no text of an exception."""

import asyncio
import io
import json
import logging
import sys

import pytest

from cypher import logs
from cypher.config import LogConfig
from cypher.web.log import log_answer, log_failure

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def restored():
    """Leave logging as the runner had it."""
    root, ours = logging.getLogger(), logging.getLogger("cypher")
    before = list(root.handlers), root.level, ours.level, sys.excepthook
    yield
    root.handlers[:], sys.excepthook = before[0], before[3]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.fixture(params=["human", "json"])
def style(request):
    return request.param


@pytest.fixture
def lines(monkeypatch, style):
    """Set logging up and return what returns the lines that were written."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logs.set_up(LogConfig(level="info", format=style))
    return lambda: written.getvalue().splitlines()


def failure() -> ValueError:
    try:
        try:
            raise LookupError(SECRET)
        except LookupError as exc:
            raise ValueError(f"Failing row contains ({SECRET})") from exc
    except ValueError as exc:
        return exc


def test_a_request_is_one_line_with_its_id(lines, style):
    log_answer(("GET", "/v1/session"), 401, code="unauthenticated", seconds=0.00123, request_id="request-1")
    (line,) = lines()
    if style == "human":
        assert line.endswith("cypher.web  GET /v1/session 401 unauthenticated 1.2 ms request-1")
        return
    told = json.loads(line)
    assert {name: told[name] for name in ("level", "logger", "event")} == {
        "level": "info",
        "logger": "cypher.web",
        "event": "request",
    }
    assert (told["method"], told["route"], told["status"]) == ("GET", "/v1/session", 401)
    assert (told["code"], told["milliseconds"], told["request_id"]) == ("unauthenticated", 1.2, "request-1")


def test_nothing_makes_a_second_line(lines):
    logging.getLogger("cypher").warning("one\n2026-01-01 00:00:00,000 INFO two\r\x1b[2J")
    (line,) = lines()
    assert "\x1b" not in line


def test_an_unexpected_error_is_its_type_and_its_place(lines):
    log_failure(failure(), "request-1")
    logging.getLogger("others").error("failed", exc_info=failure())
    (ours, theirs) = lines()
    assert "request-1" in ours
    for line in (ours, theirs):
        assert "ValueError at failure:" in line
        assert "from LookupError" in line
        assert SECRET not in line


def test_what_nobody_caught_is_one_line_as_well(lines):
    error = failure()
    sys.excepthook(ValueError, error, error.__traceback__)
    (line,) = lines()
    assert "unexpected ValueError at failure:" in line
    assert SECRET not in line


async def test_a_task_that_nobody_waited_for_is_one_line_as_well(lines):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.report_unexpected)

    async def fail() -> None:
        raise failure()

    task = loop.create_task(fail())
    await asyncio.wait((task,))
    del task
    (line,) = lines()
    assert "ValueError" in line
    assert SECRET not in line


async def test_what_a_library_complains_of_is_told_in_its_words(lines):
    complaint = {"message": "Resetting connection with an active transaction", "asyncgen": SECRET}
    logs.report_unexpected(asyncio.get_running_loop(), complaint)
    (line,) = lines()
    assert "unexpected in the background: Resetting connection with an active transaction" in line
    assert SECRET not in line


def test_the_level_is_ours_alone(lines):
    logging.getLogger("others").info("what it was sent")
    logging.getLogger("cypher").debug("too much")
    logging.getLogger("cypher").info("as asked")
    (line,) = lines()
    assert "as asked" in line
