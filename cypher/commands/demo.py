"""`cypher demo`: the product in ten seconds."""

from typing import Annotated

import typer

from cypher.app import Resources
from cypher.commands.as_client import as_client
from cypher.commands.running import with_resources
from cypher.demo import demo as run_demo

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    url: Annotated[str | None, typer.Option(help="Where the service runs; default: PUBLIC_ORIGIN.")] = None,
) -> None:
    """Show on a running service what a person sees, and what a thief of the database would see."""

    async def show(open_: Resources) -> None:
        with as_client():
            await run_demo(url or open_.config.http.public_origin, open_)

    with_resources(show)
