"""`cypher users`: what an operator does about people."""

import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cypher.app import Resources
from cypher.auth.people import LOCK, People, RecoveryToken, UserPage, UserView
from cypher.auth.recovery_tokens import HANDED_OVER, LONGEST
from cypher.commands.running import JsonOption, YesOption, confirm, with_resources
from cypher.commands.terminal import id_column
from cypher.errors import NotFound, OperatorError, ValidationFailed
from cypher.operating import factor_reset, people

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The people who log in.")

HOUR = timedelta(hours=1)

WhoArgument = Annotated[str, typer.Argument(help="A username; with --id, an id.")]
# Never guessed from its form: somebody may have chosen a name that looks like another person's id.
IdOption = Annotated[bool, typer.Option("--id", help="WHO is an id and no username.")]
TokenHours = Annotated[int, typer.Option(min=1, max=LONGEST // HOUR, help="How long the token works.")]


async def find_user(open_: Resources, who: str, *, by_id: bool) -> UserView:
    """Return the person that an operator means; raises OperatorError."""
    try:
        user = await people(open_).get(UUID(who)) if by_id else await people(open_).find(who)
    except ValueError as exc:
        raise OperatorError("This is not an id.") from exc
    except NotFound as exc:
        raise OperatorError("Nobody has this id.") from exc
    except ValidationFailed as exc:
        raise OperatorError("This is not a username that anybody could have.") from exc
    if user is None:
        raise OperatorError("Nobody has this username.")
    return user


@app.command("list")
def users_list(
    username: Annotated[str | None, typer.Option(help="Only the person of this name, whole: names are sealed.")] = None,
    cursor: Annotated[UUID | None, typer.Option(help="Where the list before this one has ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    json: JsonOption = False,
) -> None:
    """List people, oldest first."""

    async def show(open_: Resources) -> None:
        if username is not None:
            page = UserPage(items=[await find_user(open_, username, by_id=False)], next_cursor=None)
        else:
            page = await people(open_).list_users(cursor=cursor, most=limit)
        if json:
            print(msgspec.json.encode(page).decode())
            return
        _print_table(page.items)
        if page.next_cursor:
            print(f"There are more: cypher users list --cursor {page.next_cursor}", file=sys.stderr)

    with_resources(show)


@app.command("show")
def users_show(who: WhoArgument, by_id: IdOption = False, json: JsonOption = False) -> None:
    """Show one person."""

    async def show(open_: Resources) -> None:
        _print_user(await find_user(open_, who, by_id=by_id), json=json)

    with_resources(show)


@app.command("create")
def users_create(username: str, hours: TokenHours = HANDED_OVER // HOUR, json: JsonOption = False) -> None:
    """Make somebody, also while registration is closed. Prints, once, the token by which they choose a password."""

    async def create(open_: Resources) -> None:
        try:
            made = await people(open_).create(username, lifetime=timedelta(hours=hours))
        except ValidationFailed as exc:
            raise OperatorError("This is not a username that anybody could have.") from exc
        _print_token(made, json=json)

    with_resources(create)


@app.command("recovery")
def users_recovery(
    who: WhoArgument, by_id: IdOption = False, hours: TokenHours = HANDED_OVER // HOUR, json: JsonOption = False
) -> None:
    """Print, once, a token by which somebody chooses another password. Be sure who asks."""

    async def issue(open_: Resources) -> None:
        user = await find_user(open_, who, by_id=by_id)
        _print_token(await people(open_).issue_recovery(user.id, lifetime=timedelta(hours=hours)), json=json)

    with_resources(issue)


@app.command("lock")
def users_lock(
    who: WhoArgument,
    by_id: IdOption = False,
    hours: Annotated[int, typer.Option(min=1, max=87_600, help="For how long.")] = LOCK // HOUR,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Keep somebody out for a while. Their sessions and recovery tokens end now."""
    confirm(f"Lock {who} for {hours} h, and end their sessions?", yes=yes)
    lifetime = timedelta(hours=hours)
    _change(who, lambda found, user: found.lock(user.id, lifetime=lifetime), by_id=by_id, json=json)


@app.command("unlock")
def users_unlock(who: WhoArgument, by_id: IdOption = False, json: JsonOption = False) -> None:
    """End a lock."""
    _change(who, lambda found, user: found.unlock(user.id), by_id=by_id, json=json)


@app.command("disable")
def users_disable(who: WhoArgument, by_id: IdOption = False, yes: YesOption = False, json: JsonOption = False) -> None:
    """Keep somebody out until they are enabled. Their sessions and recovery tokens end now."""
    confirm(f"Disable {who}, and end their sessions?", yes=yes)
    _change(who, lambda found, user: found.disable(user.id), by_id=by_id, json=json)


@app.command("enable")
def users_enable(who: WhoArgument, by_id: IdOption = False, json: JsonOption = False) -> None:
    """Let somebody in again."""
    _change(who, lambda found, user: found.enable(user.id), by_id=by_id, json=json)


@app.command("reset-factors")
def users_reset_factors(who: WhoArgument, by_id: IdOption = False, yes: YesOption = False) -> None:
    """Take away somebody's second factor, recovery codes and failed attempts: the password alone opens the account."""
    confirm(f"Let the password alone open the account of {who}?", yes=yes)

    async def reset(open_: Resources) -> None:
        user = await find_user(open_, who, by_id=by_id)
        await factor_reset(open_).reset(user.id)
        print(f"{_named(user)} now logs in with the password alone, until they enrol a factor again.")

    with_resources(reset)


@app.command("delete")
def users_delete(who: WhoArgument, by_id: IdOption = False, yes: YesOption = False) -> None:
    """Delete somebody and all that is kept of them. Their sessions end now, their name is free."""
    confirm(f"Delete {who}, and all that is kept of them?", yes=yes)

    async def delete(open_: Resources) -> None:
        user = await find_user(open_, who, by_id=by_id)
        await people(open_).delete(user.id)
        print(f"{_named(user)} is deleted.")

    with_resources(delete)


def _change(who: str, change: Callable[[People, UserView], Awaitable[UserView]], *, by_id: bool, json: bool) -> None:
    async def act(open_: Resources) -> None:
        user = await find_user(open_, who, by_id=by_id)
        _print_user(await change(people(open_), user), json=json)

    with_resources(act)


def _named(user: UserView) -> str:
    return user.username or str(user.id)


def _print_user(user: UserView, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode(user).decode())
        return
    _print_table([user])


def _print_table(users: list[UserView]) -> None:
    table = Table(id_column(), "username", "active", "factor", "locked until", "created", "last login")
    for user in users:
        moments = (user.locked_until, user.created_at, user.last_login_at)
        locked, created, seen = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments)
        table.add_row(
            str(user.id),
            "(does not open)" if user.username is None else escape(user.username),
            "yes" if user.is_active else "no",
            "totp" if user.totp_enabled else "",
            locked,
            created,
            seen,
        )
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)


def _print_token(token: RecoveryToken, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode(token).decode())
        return
    print(token.recovery_token)
    until = f"{token.expires_at:%Y-%m-%d %H:%M} UTC"
    print(f"This is the only time it is shown. It works once, until {until}.", file=sys.stderr)
