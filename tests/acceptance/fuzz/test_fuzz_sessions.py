"""Whatever people do in whatever order, a service answers as the model of it says."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.acceptance.fuzz.machine import People
from tests.acceptance.fuzz.world import world

STEPS = 30
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    stateful_step_count=STEPS,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("sequences", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_every_answer_is_the_models(environment, postgres_config, sequences: int) -> None:
    with world(environment, postgres_config) as there:
        run_state_machine_as_test(lambda: People(there), settings=settings(FIXED, max_examples=sequences))
