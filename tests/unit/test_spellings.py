"""However a value is spelled, it is found; a place is read as a stream."""

import base64

import pytest

from cypher.spellings import Search, spellings

VALUE = "canary.zoë@Example".encode()


def ways() -> list[bytes]:
    padded = [base64.b64encode(bytes([7] * shift) + VALUE + b"tail") for shift in range(6)]
    urlsafe = [base64.urlsafe_b64encode(b"\xff" * shift + VALUE) for shift in range(3)]
    return [
        VALUE,
        VALUE.upper(),
        VALUE.decode().upper().encode(),
        VALUE.hex().encode(),
        VALUE.hex().upper().encode(),
        *padded,
        *urlsafe,
    ]


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_every_spelling_is_found_wherever_chunks_end(way: bytes, size: int) -> None:
    search = Search({"name": VALUE, "other": b"something else"})
    text = b"x" * 50 + way + b"y" * 50
    for start in range(0, len(text), size):
        search.feed(text[start : start + size])
    assert search.found == {"name"}
    assert search.size == len(text)


def test_what_is_not_there_is_not_found() -> None:
    search = Search({"name": VALUE})
    search.feed(VALUE[:-1] + b" " + VALUE[1:])
    assert search.found == set()


def test_a_value_that_could_be_there_by_chance_is_refused() -> None:
    with pytest.raises(ValueError, match="short"):
        list(spellings(b"seven77"))
