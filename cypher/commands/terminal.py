"""Text that others have made, on its way to a terminal: no sequence in it may move a cursor or hide a line."""

import re

from rich.text import Text

LONGEST = 120
#: Controls that JSON leaves as they are: DEL and C1, and what turns the direction of writing or cannot be seen.
UNSAFE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def shown(value: object) -> Text:
    """Return a value for a cell of a table: escaped as Python writes it, cut to size, and free of rich's markup."""
    text = "" if value is None else str(value)
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return Text("".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut))


def json_text(encoded: bytes) -> str:
    """Return JSON as it may be printed: it means the same, and every character in it is seen."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded.decode())
