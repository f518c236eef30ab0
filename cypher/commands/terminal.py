"""Text that others have made, on its way to a terminal: no sequence in it may move a cursor or hide a line."""

from rich.text import Text

LONGEST = 120


def shown(value: object) -> Text:
    """Return a value for a cell of a table: escaped as Python writes it, cut to size, and free of rich's markup."""
    text = "" if value is None else str(value)
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return Text("".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut))
