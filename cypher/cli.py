"""The command line: one function per command. What goes wrong is one sentence and an exit status, never a traceback."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cypher import logs, serving
from cypher.app import Resources
from cypher.client import CypherClientError
from cypher.clock import SystemClock
from cypher.commands import audit, canary, importing, keys, rate_limits, sessions, tokens, users
from cypher.commands.running import run, servers, with_resources
from cypher.config import Config
from cypher.demo import demo as run_demo
from cypher.embedded import Embedded
from cypher.errors import CypherError, OperatorError
from cypher.migrate import create_database, migrate
from cypher.postgres import QueryFailed
from cypher.settings import bracketed
from cypher.signals import unwind_on_all

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Cypher, an authentication service. Its settings come from the environment and from .env in this folder.",
    pretty_exceptions_enable=False,
)
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(tokens.app, name="tokens")
app.add_typer(users.app, name="users")
app.add_typer(sessions.app, name="sessions")
app.add_typer(rate_limits.app, name="rate-limits")
app.command("canary")(canary.look)
app.command("import")(importing.import_people)


def main() -> None:
    """Run a command; the entry point of `cypher` and of run.py."""
    unwind_on_all()
    try:
        app()
    except CypherError as exc:
        _refuse(str(exc) or exc.message())
    except CypherClientError as exc:
        _refuse(str(exc))
    except QueryFailed as exc:
        _refuse(
            f"PostgreSQL refuses a query ({exc}). Was this database's schema changed since `cypher migrate` made it?"
        )
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _refuse(sentence: str) -> NoReturn:
    print(f"cypher: {sentence}", file=sys.stderr)
    raise SystemExit(1)


@app.command()
def serve() -> None:
    """Serve until Ctrl-C; on a machine without PostgreSQL and Redis, on embedded ones."""
    with servers() as (config, embedded):
        logs.set_up(config.log)
        applied = _migrate(config) if embedded and embedded.holds_postgres else []
        run(serving.serve(config, SystemClock(), announcement(config, embedded, applied)))


@app.command(name="migrate")
def migrate_command() -> None:
    """Bring the database's schema up to this version."""
    with servers() as (config, _):
        applied = _migrate(config)
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
            for name in _migrate(config):
                print(f"applied {name}")


@app.command()
def demo(
    url: Annotated[str | None, typer.Option(help="Where the service runs; default: PUBLIC_ORIGIN.")] = None,
) -> None:
    """Show on a running service what a person sees, and what a thief of the database would see."""

    async def show(open_: Resources) -> None:
        await run_demo(url or open_.config.http.public_origin, open_)

    with_resources(show)


def _migrate(config: Config) -> list[str]:
    return migrate(config.postgres, retention_days=config.audit.retention_days)


def announcement(config: Config, embedded: Embedded | None, applied: list[str]) -> str:
    """Say in a few lines where the service is, what it stands on and what to try next."""
    url = f"http://{bracketed(config.http.host)}:{config.http.port}"
    lines = [f"Cypher answers on {url}"]
    if embedded and embedded.holds_postgres:
        made = "made" if applied else "found again"
        lines += [
            f"  data, keys and their password: {embedded.path} ({made}; for trying, it protects no disk)",
            "  on servers of your own: copy .env.example to .env",
        ]
    elif embedded:
        lines.append(f"  the cache: {embedded.path} (Valkey; set REDIS_HOST for one of your own)")
    if config.operators.port is not None:
        where = f"http://{bracketed(config.operators.host)}:{config.operators.port}"
        lines.append(f"  operators:    {where}/docs (with a token of `cypher tokens create`)")
    # With the address: what PORT said here, the other terminal need not know.
    lines += [f"  see it work:  {Path(sys.executable).parent / 'cypher'} demo --url {url}", "  stop it:      Ctrl-C"]
    return "\n".join(lines)
