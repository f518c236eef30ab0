"""A service that is sent what no client library sends, and a person on it who is logged in."""

import logging
from collections.abc import Callable

import pytest

from tests.acceptance.person import Person

#: What the log may hold at any level; the rest of the program talks of itself alone.
LISTENED = ("cypher", "aiohttp", "asyncio")


@pytest.fixture
async def access_token(person: Person) -> str:
    assert (await person.register()).status == 201
    token: str = (await person.login()).body["access_token"]
    return token


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Tell what was logged since the test began, whole."""
    caplog.set_level(logging.DEBUG)

    def lines() -> list[str]:
        records = [record for record in caplog.records if record.name.startswith(LISTENED)]
        return [record.getMessage() + str(record.exc_info or "") for record in records]

    return lines
