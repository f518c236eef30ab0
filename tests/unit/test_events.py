"""Names of events: group, thing, verb, in the groups that there are."""

import re

import pytest

from cypher.auth.events import ALARMING, NOISY, UNPROVEN, Event, key_event
from cypher.crypto.keys import Purpose, State

GROUPS = "auth|mfa|session|token|device|credential|account|abuse|crypto|admin|audit|system"


@pytest.mark.parametrize("event", Event)
def test_a_name_is_group_thing_and_verb(event: Event) -> None:
    if event is not Event.FIELD_OPEN_FAILED:  # which docs and alarms have known by this name from the start
        assert re.fullmatch(rf"({GROUPS})\.[a-z_]+\.[a-z]+", event), event
    assert len(event) <= 64


def test_nothing_alarming_is_dropped_early() -> None:
    assert not ALARMING & NOISY


def test_every_change_of_a_key_has_a_name() -> None:
    for purpose in Purpose:
        for state in (State.ACTIVE, State.DESTROYED):
            assert key_event(purpose, state).startswith("crypto.")
    assert key_event(Purpose.SIGNING, State.PENDING) is Event.SIGNING_KEY_PREPARED
    assert key_event(Purpose.OPAQUE, State.ACTIVE) is Event.OPAQUE_SETUP_ROTATED


def test_who_has_proven_nothing_is_nobody() -> None:
    assert Event.LOGIN_FAILED in UNPROVEN
    assert Event.LOGIN_SUCCEEDED not in UNPROVEN
