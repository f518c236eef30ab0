"""Each planted fault is found, in a line that names it, and no line shows a secret."""

import pytest

from cypher.doctor import Level, examination
from tests.acceptance.doctor.faults import FAULTS, Fault
from tests.acceptance.doctor.installation import Installation, lines

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace("_", " "))
async def test_a_planted_fault_is_found(installation: Installation, fault: Fault) -> None:
    with fault.plant(installation) as given:
        report = await installation.examine(**given)
    found = [(line.level, line.text) for line in lines(report, fault.check)]
    assert any(level is fault.level and fault.words in text for level, text in found), found
    settings = {**installation.environment, **{name: str(value) for name, value in given.items()}}
    secrets = {value for name, value in settings.items() if name.endswith(("PASSWORD", "SECRET", "WEBHOOK"))}
    shown = " ".join(line.text for line in report.checks if line.level is not Level.OK)
    assert not [secret for secret in secrets if len(secret) > 8 and secret in shown]


async def test_the_installation_is_as_healthy_as_before(installation: Installation) -> None:
    report = await installation.examine()
    assert [line for line in report.checks if line.level is not Level.OK] == []


def test_a_fault_is_planted_for_every_check_but_those_that_need_another_machine() -> None:
    planted = {fault.check for fault in FAULTS}
    assert {name for name, _ in examination.checks()} - planted == {"postgres_tls"}
