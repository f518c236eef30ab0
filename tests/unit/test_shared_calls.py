"""What is asked for together is looked up once; nobody gets another's answer, or loses their own."""

import asyncio

import pytest

from cypher.shared_calls import SharedCalls


class Shelf:
    """Answers each key but "missing" with its capital letters, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def look_up(self, keys: list[str]) -> dict[str, str]:
        self.calls.append(keys)
        await self.gate.wait()
        if self.error:
            raise self.error
        return {key: key.upper() for key in keys if key != "missing"}


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


async def test_those_who_ask_together_are_answered_by_one_call(shelf: Shelf) -> None:
    lookups = SharedCalls(shelf.look_up, most=10, turns=10)
    assert await asyncio.gather(*map(lookups.get, ["a", "b", "a", "missing"])) == ["A", "B", "A", None]
    assert await lookups.get("a") == "A"
    assert shelf.calls == [["a", "b", "missing"], ["a"]]


async def test_who_comes_while_a_call_is_under_way_gets_a_later_one(shelf: Shelf) -> None:
    lookups = SharedCalls(shelf.look_up, most=10, turns=10)
    shelf.gate.clear()
    first = asyncio.create_task(lookups.get("a"))
    while not shelf.calls:
        await asyncio.sleep(0)
    second = asyncio.create_task(lookups.get("a"))
    while len(shelf.calls) < 2:
        await asyncio.sleep(0)
    shelf.gate.set()
    assert [await first, await second] == ["A", "A"]


async def test_no_call_has_more_keys_than_it_may(shelf: Shelf) -> None:
    lookups = SharedCalls(shelf.look_up, most=2, turns=10)
    assert await asyncio.gather(*map(lookups.get, "abcde")) == list("ABCDE")
    assert shelf.calls == [["a", "b"], ["c", "d"], ["e"]]


async def test_keys_gather_while_every_turn_is_taken(shelf: Shelf) -> None:
    lookups = SharedCalls(shelf.look_up, most=10, turns=1)
    shelf.gate.clear()
    asking = [asyncio.create_task(lookups.get("a"))]
    for key in "bcd":
        while len(shelf.calls) < 1:
            await asyncio.sleep(0)
        asking.append(asyncio.create_task(lookups.get(key)))
        await asyncio.sleep(0)
    shelf.gate.set()
    assert await asyncio.gather(*asking) == list("ABCD")
    assert shelf.calls == [["a"], ["b", "c", "d"]]


async def test_who_gives_up_takes_nothing_from_the_others(shelf: Shelf) -> None:
    lookups = SharedCalls(shelf.look_up, most=10, turns=10)
    shelf.gate.clear()
    first, second = [asyncio.create_task(lookups.get(key)) for key in "ab"]
    while not shelf.calls:
        await asyncio.sleep(0)
    first.cancel()
    shelf.gate.set()
    assert await second == "B"
    assert first.cancelled()


async def test_a_failure_reaches_everybody_who_waited_and_nobody_later(shelf: Shelf) -> None:
    lookups = SharedCalls(shelf.look_up, most=10, turns=10)
    shelf.error = LookupError("away")
    failed = await asyncio.gather(*map(lookups.get, "ab"), return_exceptions=True)
    assert failed == [shelf.error, shelf.error]
    shelf.error = None
    assert await lookups.get("a") == "A"


@pytest.mark.parametrize("ahead", [True, False])
async def test_only_ahead_is_the_next_call_sent_before_the_answers_are_handed_out(*, ahead: bool) -> None:
    order: list[str] = []

    async def call(keys: list[str]) -> dict[str, str]:
        await asyncio.sleep(0)  # as one that is made in a task
        asyncio.get_running_loop().call_soon(order.append, f"sent {keys}")  # as a connection sends, once a turn
        await asyncio.sleep(0.001)
        return {key: key for key in keys}

    async def ask(key: str) -> None:
        order.append(f"answered {await calls.get(key)}")

    calls = SharedCalls(call, most=1, turns=1, ahead=ahead)
    await asyncio.gather(ask("a"), ask("b"))
    assert (order.index("sent ['b']") < order.index("answered a")) is ahead
