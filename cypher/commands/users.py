"""`cypher users`: what an operator does for people."""

import typer

from cypher.app import Resources
from cypher.auth import usernames
from cypher.commands.running import with_resources
from cypher.errors import OperatorError, ValidationFailed
from cypher.operating import factor_reset

app = typer.Typer(no_args_is_help=True, help="The people who log in.")


# With a second command this can go: alone, a command would lose its name.
@app.callback()
def users() -> None:
    """The people who log in."""


@app.command()
def reset_factors(username: str) -> None:
    """Take away somebody's second factor, recovery codes and failed attempts: the password alone opens the account."""

    async def reset(open_: Resources) -> None:
        try:
            name = usernames.normalise(username)
        except ValidationFailed as exc:
            raise OperatorError("This is not a username that anybody could have.") from exc
        async with open_.db.connection() as repos:
            user = await repos.users.find_by_username(name)
        if user is None:
            raise OperatorError("Nobody has this username.")
        await factor_reset(open_).reset(user.id, None)
        print(f"{user.username} now logs in with the password alone, until they enrol a factor again.")

    with_resources(reset)
