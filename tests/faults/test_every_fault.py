"""Every fault, under traffic: what was promised holds while it lasts, and when it is over."""

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault
from tests.faults.runner import run
from tests.faults.world import OwnServers

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
async def test_what_was_promised_holds(kind: type[Fault], own_servers: OwnServers) -> None:
    outcome = await run(kind, own_servers)
    assert not outcome.broken
    assert outcome.sent > 50
