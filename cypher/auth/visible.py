"""JSON in which every character is seen: for whoever prints it, or reads it as lines."""

import re

import msgspec

#: What JSON leaves as it is: DEL and C1, and what turns the direction of writing or has no width.
UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def visible(encoded: bytes) -> str:
    """Return JSON that means the same, with such characters escaped as JSON escapes the others."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded.decode())


def line_of(value: object) -> bytes:
    """Return a value as one line of such JSON, with its end."""
    return visible(msgspec.json.encode(value)).encode() + b"\n"
