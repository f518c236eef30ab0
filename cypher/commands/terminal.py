"""What goes into tables. Text that others have made: no sequence in it may move a cursor or hide a line."""

from rich.table import Column
from rich.text import Text

LONGEST = 120


def shown(value: object) -> Text:
    """Return a value for a cell of a table: escaped as Python writes it, cut to size, and free of rich's markup."""
    text = "" if value is None else str(value)
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return Text("".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut))


def id_column() -> Column:
    """Return a column for ids: one that was cut to the terminal could not be given to the next command."""
    return Column("id", no_wrap=True, min_width=36)
