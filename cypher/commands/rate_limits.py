"""`cypher rate-limits`: who has used up what, and giving it back."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cypher.app import Resources
from cypher.commands.running import JsonOption, with_resources
from cypher.config.limits import Category
from cypher.operating import limit_review

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Limits on attempts, and who has used them up.")

CategoryOption = Annotated[Category, typer.Option(help="What is counted.")]
IdentifierOption = Annotated[
    str, typer.Option(help="Whose: a username, an address, a device's id, or for login-name-address 'NAME ADDRESS'.")
]


@app.command("list")
def limits_list(json: JsonOption = False) -> None:
    """List the limits, and how many are counted and refused now; who they are can only be asked with `show`."""

    async def show(open_: Resources) -> None:
        categories = await limit_review(open_).list_categories()
        if json:
            print(msgspec.json.encode(categories).decode())
            return
        table = Table("category", "limit", "counted now", "of these refused lately")
        for category in categories.items:
            limit = f"{category.limit} in {category.window_seconds} s" if category.limit else "off"
            table.add_row(category.category, limit, str(category.subjects), str(category.refused))
        Console().print(table)

    with_resources(show)


@app.command("show")
def limits_show(category: CategoryOption, identifier: IdentifierOption, json: JsonOption = False) -> None:
    """Show what one of them has left."""

    async def show(open_: Resources) -> None:
        subject = await limit_review(open_).show(category, identifier)
        if json:
            print(msgspec.json.encode(subject).decode())
            return
        print(f"{subject.identifier}: {subject.remaining} of {subject.limit} in {subject.window_seconds} s left")
        if subject.retry_after:
            print(f"The next attempt is admitted in {subject.retry_after:.0f} s.")

    with_resources(show)


@app.command("reset")
def limits_reset(category: CategoryOption, identifier: IdentifierOption, json: JsonOption = False) -> None:
    """Forget what was counted of one of them; recorded in the audit trail."""

    async def reset(open_: Resources) -> None:
        subject = await limit_review(open_).reset(category, identifier)
        if json:
            print(msgspec.json.encode(subject).decode())
            return
        print(f"{subject.identifier}: {'forgotten' if subject.was_counted else 'nothing was counted'}.")

    with_resources(reset)
