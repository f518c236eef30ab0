"""`cypher tokens`: bearer tokens for backends and operators."""

import sys
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cypher.app import Resources
from cypher.auth.service_tokens import Scope, ServiceTokens
from cypher.commands.running import JsonOption, with_resources
from cypher.commands.terminal import id_column
from cypher.errors import NotFound, OperatorError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Bearer tokens for backends and operators.")


@app.command("create")
def tokens_create(
    scope: Annotated[list[str], typer.Option(help=f"What it may do, of: {', '.join(Scope)}; can be repeated.")],
    name: Annotated[str, typer.Option(help="Who will hold it.")] = "unnamed",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="When it ends; default: never.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a service token. Its value is printed once and stored only as a hash."""

    async def create(open_: Resources) -> None:
        lifetime = timedelta(days=days) if days else None
        token_id, value = await _service_tokens(open_).create(name, frozenset(scope), lifetime)
        if json:
            print(msgspec.json.encode({"id": token_id, "token": value}).decode())
            return
        print(value)
        print(f"This is the only time it is shown. To end it: cypher tokens revoke {token_id}", file=sys.stderr)

    with_resources(create)


@app.command("list")
def tokens_list(json: JsonOption = False) -> None:
    """List service tokens, without their values."""

    async def show(open_: Resources) -> None:
        tokens = await _service_tokens(open_).list_tokens()
        if json:
            print(msgspec.json.encode({"items": tokens}).decode())
            return
        table = Table(id_column(), "name", "scopes", "created", "expires", "last used", "revoked")
        for token in tokens:
            moments = (token.created_at, token.expires_at, token.last_used_at, token.revoked_at)
            table.add_row(
                str(token.id),
                token.name,
                " ".join(sorted(token.scopes)),
                *(f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments),
            )
        console = Console()
        console.width = max(console.width, 130)
        console.print(table)

    with_resources(show)


@app.command("revoke")
def tokens_revoke(token_id: UUID) -> None:
    """End a service token now."""

    async def revoke(open_: Resources) -> None:
        try:
            await _service_tokens(open_).revoke(token_id)
        except NotFound as exc:
            raise OperatorError("No living token has this id. See: cypher tokens list") from exc
        print(f"{token_id} is revoked.")

    with_resources(revoke)


def _service_tokens(open_: Resources) -> ServiceTokens:
    return ServiceTokens(db=open_.db, audit=open_.audit, clock=open_.clock)
