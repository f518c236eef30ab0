"""`cypher sessions`: whose sessions there are, and ending them: somebody's, or many at once."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cypher.app import Resources
from cypher.auth.session_review import Revocation
from cypher.commands.running import JsonOption, YesOption, confirm, with_resources
from cypher.commands.terminal import id_column
from cypher.commands.users import IdOption, WhoArgument, find_user
from cypher.errors import OperatorError
from cypher.operating import session_review

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The sessions of people who are logged in.")

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
MomentOption = typer.Option(formats=MOMENTS, help="In UTC.")


@app.command("list")
def sessions_list(who: WhoArgument, by_id: IdOption = False, json: JsonOption = False) -> None:
    """List the newest hundred sessions of somebody. From where they came is shown to their owner only."""

    async def show(open_: Resources) -> None:
        user = await find_user(open_, who, by_id=by_id)
        sessions = await session_review(open_).list_sessions(user.id)
        if json:
            print(msgspec.json.encode(sessions).decode())
            return
        table = Table(id_column(), "level", "proven by", "begun", "last seen", "ends")
        for session in sessions.items:
            moments = (session.created_at, session.last_seen_at, session.expires_at)
            table.add_row(
                str(session.id),
                str(session.aal),
                ", ".join(session.amr),
                *(f"{moment:%Y-%m-%d %H:%M}" for moment in moments),
            )
        Console().print(table)

    with_resources(show)


@app.command("revoke")
def sessions_revoke(
    who: Annotated[str | None, typer.Argument(help="Of this person only: a username; with --id, an id.")] = None,
    by_id: IdOption = False,
    all_: Annotated[bool, typer.Option("--all", help="Everybody's, with no other filter.")] = False,
    aal: Annotated[int | None, typer.Option(min=1, max=2, help="Of this level only: 1 is the password alone.")] = None,
    created_before: Annotated[datetime | None, MomentOption] = None,
    seen_before: Annotated[datetime | None, MomentOption] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """End sessions on every instance now: somebody's, or everybody's that match all that is said."""
    is_filtered = any(each is not None for each in (who, aal, created_before, seen_before))
    if all_ is is_filtered:
        raise OperatorError("Say whose sessions: a username, --aal, --created-before, --seen-before, or only --all.")

    async def revoke(open_: Resources) -> None:
        user = await find_user(open_, who, by_id=by_id) if who is not None else None

        async def run(*, dry_run: bool) -> Revocation:
            return await session_review(open_).revoke_matching(
                user_id=user.id if user else None,
                aal=aal,
                created_before=_utc(created_before),
                seen_before=_utc(seen_before),
                dry_run=dry_run,
            )

        counted = await run(dry_run=True)
        if not dry_run:
            confirm(f"End {counted.revoked} session(s)?", yes=yes)
            counted = await run(dry_run=False)
        if json:
            print(msgspec.json.encode(counted).decode())
            return
        print(f"{counted.revoked} session(s) {'would end' if dry_run else 'ended'}.")

    with_resources(revoke)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
