"""One installation for all tests of a module: each puts back what it spoils."""

from collections.abc import Iterator

import pytest

from tests.acceptance.doctor.installation import Installation, installed


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with installed() as installation:
        yield installation
