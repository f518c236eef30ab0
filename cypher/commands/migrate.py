"""`cypher migrate`: the schema of this version."""

import typer

from cypher.commands.running import servers
from cypher.config import Config
from cypher.migrate import migrate

app = typer.Typer(add_completion=False)


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database's schema up to this version."""
    with servers() as (config, _):
        applied = migrated(config)
    print("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")


def migrated(config: Config) -> list[str]:
    """Bring the schema up to date; returns what was applied."""
    return migrate(config.postgres, retention_days=config.audit.retention_days)
