"""What a disk, a proxy or an attacker may make of something that was good."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

#: Where to cut, how much, and what to put there.
EDITS = st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 4), st.binary(max_size=6)), min_size=1, max_size=4)
JSON = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 1, 2**63, 2**64, 10**30, 1e300, "", "x", "\x00", "\u0660", "é", "0001-01-01T00:00:00"]
    )
    | st.integers()
    | st.text(max_size=8)
    | st.datetimes().map(lambda moment: moment.isoformat() + "+14:00"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)


def edited(good: bytes) -> st.SearchStrategy[bytes]:
    """A few bytes elsewhere, missing, or more."""

    def edit(edits: list[tuple[int, int, bytes]]) -> bytes:
        changed = good
        for place, cut, put in edits:
            at = place % (len(changed) + 1)
            changed = changed[:at] + put + changed[at + cut :]
        return changed

    return EDITS.map(edit)


def edited_text(good: str) -> st.SearchStrategy[str]:
    return edited(good.encode()).map(lambda changed: changed.decode("latin-1"))


def refilled(good: bytes) -> st.SearchStrategy[bytes]:
    """JSON of the same shape in which one value is another one, twice there, or missing."""
    places = list(_places(json.loads(good)))

    def refill(place: tuple[Any, ...], change: Callable[[Any, Any], None]) -> bytes:
        document = json.loads(good)
        holder = document
        for step in place[:-1]:
            holder = holder[step]
        change(holder, place[-1])
        return json.dumps(document).encode()

    changes = st.one_of(
        JSON.map(lambda value: lambda holder, key: holder.__setitem__(key, value)),
        st.just(lambda holder, key: holder.__delitem__(key)),
        st.just(lambda holder, key: holder.insert(key, holder[key]) if isinstance(holder, list) else None),
        st.tuples(st.text(max_size=4), JSON).map(
            lambda more: lambda holder, key: holder.__setitem__(*more) if isinstance(holder, dict) else None
        ),
    )
    return st.builds(refill, st.sampled_from(places), changes)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*at, key)
        yield from _places(each, (*at, key))
