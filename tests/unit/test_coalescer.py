"""Failures are counted together, and an attack costs neither memory nor rows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cypher.auth.coalescer import MOST, Coalescer
from cypher.auth.events import ActorType, Event, Outcome
from cypher.auth.happenings import Actor, Counted, Happening
from cypher.auth.source import Source

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ALICE = Happening(event=Event.LOGIN_FAILED, outcome=Outcome.FAILURE, reason="invalid_credentials", user_id=UUID(int=1))


def source(address: str = "203.0.113.7", agent: str = "Browser/1.0") -> Source:
    return Source(address=address, user_agent=agent, request_id="request-0001")


def test_the_same_again_is_counted_and_nothing_else_is() -> None:
    held = Coalescer()
    for number in range(5):
        held.add(ALICE, source(agent=f"Browser/{number}"), NOW + number * SECOND)
    held.add(ALICE, source("203.0.113.8"), NOW)
    held.add(Happening(event=Event.LOGIN_ATTEMPTED, user_id=UUID(int=1)), source(), NOW)
    assert len(held) == 7
    five, *others = held.take()
    assert (five.count, five.first_at, five.last_at) == (5, NOW, NOW + 4 * SECOND)
    assert five.source == source(agent="Browser/0")
    assert [other.count for other in others] == [1, 1]
    assert (len(held), held.take()) == (0, [])


def test_a_flood_of_different_ones_is_counted_by_event_and_reason() -> None:
    held = Coalescer()
    for number in range(10 * MOST):
        name = Happening(event=Event.LOGIN_FAILED, outcome=Outcome.FAILURE, reason="x", username=f"name-{number}")
        held.add(name, source(f"2001:db8::{number:x}"), NOW)
        held.add(Happening(event=Event.LOGIN_ATTEMPTED, username=f"name-{number}"), source(), NOW)
    assert len(held) == 20 * MOST
    taken = held.take()
    assert len(taken) == MOST + 2
    rest = taken[MOST:]
    assert {each.happening.event for each in rest} == {Event.LOGIN_FAILED, Event.LOGIN_ATTEMPTED}
    assert sum(each.count for each in rest) == 19 * MOST
    assert {(each.source, each.happening.username, each.actor().type) for each in rest} == {
        (None, None, ActorType.SERVICE)
    }


def test_what_could_not_be_written_is_taken_back_with_its_times() -> None:
    held = Coalescer()
    held.add(ALICE, source(), NOW)
    taken = held.take()
    held.add(ALICE, source(), NOW + SECOND)
    held.merge(taken)
    (both,) = held.take()
    assert (both.count, both.first_at, both.last_at) == (2, NOW, NOW + SECOND)


@pytest.mark.parametrize(
    ("happening", "from_", "actor"),
    [
        (
            Happening(event=Event.SESSION_ENDED, user_id=UUID(int=1)),
            source(),
            Actor(type=ActorType.USER, id=str(UUID(int=1))),
        ),
        (Happening(event=Event.LOGIN_FAILED, user_id=UUID(int=1)), source(), Actor(type=ActorType.STRANGER)),
        (Happening(event=Event.LOGIN_ATTEMPTED), source(), Actor(type=ActorType.STRANGER)),
        (Happening(event=Event.FACTORS_RESET, user_id=UUID(int=1)), None, Actor(type=ActorType.OPERATOR)),
        (Happening(event=Event.KEY_ROTATED, by_itself=True), None, Actor(type=ActorType.SERVICE)),
        (
            Happening(event=Event.FACTORS_RESET, user_id=UUID(int=1), actor=Actor(type=ActorType.OPERATOR, id="token")),
            source(),
            Actor(type=ActorType.OPERATOR, id="token"),
        ),
    ],
)
def test_who_did_it(happening: Happening, from_: Source | None, actor: Actor) -> None:
    assert Counted(happening=happening, source=from_, first_at=NOW, last_at=NOW).actor() == actor
