"""`cypher init-db`: role, database and schema on a server that is new."""

from typing import Annotated

import typer

from cypher.commands.migrate import migrated
from cypher.commands.running import servers
from cypher.errors import OperatorError
from cypher.migrate import create_database

app = typer.Typer(add_completion=False)


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
