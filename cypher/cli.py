"""The command line: one function per command. What goes wrong is one sentence and an exit status, never a traceback."""

from typing import Annotated

import typer

from cypher.app import Resources
from cypher.commands import audit, backup, canary, doctor, importing, keys, rate_limits, sessions, tokens, users
from cypher.commands.running import in_a_sentence, servers, with_resources
from cypher.commands.serve import migrated, serve
from cypher.demo import demo as run_demo
from cypher.errors import OperatorError
from cypher.migrate import create_database
from cypher.signals import unwind_on_all

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Cypher, an authentication service. Its settings come from the environment and from .env in this folder.",
    pretty_exceptions_enable=False,
)
app.add_typer(audit.app, name="audit")
app.add_typer(backup.app, name="backup")
app.add_typer(keys.app, name="keys")
app.add_typer(tokens.app, name="tokens")
app.add_typer(users.app, name="users")
app.add_typer(sessions.app, name="sessions")
app.add_typer(rate_limits.app, name="rate-limits")
app.command("canary")(canary.look)
app.command("serve")(serve)
app.command("doctor")(doctor.look)
app.command("import")(importing.import_people)


def main() -> None:
    """Run a command; the entry point of `cypher` and of run.py."""
    unwind_on_all()
    with in_a_sentence():
        app()


@app.command(name="migrate")
def migrate_command() -> None:
    """Bring the database's schema up to this version."""
    with servers() as (config, _):
        applied = migrated(config)
    print("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")


@app.command()
def init_db(
    create_db: Annotated[bool, typer.Option("--create-db", help="Create role and database only.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Create role and database, then migrate.")] = False,
) -> None:
    """Set up a PostgreSQL server of yours, with the rights of POSTGRES_MIGRATION_USER."""
    if not (create_db or all_):
        raise OperatorError("Say what to do: --create-db (role and database) or --all (and the schema as well).")
    with servers() as (config, _):
        for line in create_database(config.postgres):
            print(line)
        if all_:
            for name in migrated(config):
                print(f"applied {name}")


@app.command()
def demo(
    url: Annotated[str | None, typer.Option(help="Where the service runs; default: PUBLIC_ORIGIN.")] = None,
) -> None:
    """Show on a running service what a person sees, and what a thief of the database would see."""

    async def show(open_: Resources) -> None:
        await run_demo(url or open_.config.http.public_origin, open_)

    with_resources(show)
