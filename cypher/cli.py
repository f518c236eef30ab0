"""The command line: which commands there are. Each is a module of `commands`, imported when it is asked for."""

from typer.core import TyperGroup

from cypher.commands.named import NamedCommand
from cypher.commands.sentences import in_a_sentence
from cypher.signals import unwind_on_all

#: In the order of `--help`. What is said of each is what its module says.
COMMANDS = (
    NamedCommand(
        "canary",
        "cypher.commands.canary",
        help="Plant a marked person through the service's own routes, and look for the marks in a dump, in Redis, in "
        "the log.",
    ),
    NamedCommand(
        "serve",
        "cypher.commands.serve",
        help="Serve until Ctrl-C; on a machine without PostgreSQL and Redis, on embedded ones.",
    ),
    NamedCommand(
        "doctor",
        "cypher.commands.doctor",
        help="Check settings, servers, keys and the audit trail. Writes nothing; exit status 1 if there is a problem.",
    ),
    NamedCommand(
        "import",
        "cypher.commands.importing",
        help="Take people over from another system. What is refused goes to standard output, a line of JSON each.",
    ),
    NamedCommand("migrate", "cypher.commands.migrate", help="Bring the database's schema up to this version."),
    NamedCommand(
        "init-db",
        "cypher.commands.init_db",
        help="Set up a PostgreSQL server of yours, with the rights of POSTGRES_MIGRATION_USER.",
    ),
    NamedCommand(
        "demo",
        "cypher.commands.demo",
        help="Show on a running service what a person sees, and what a thief of the database would see.",
    ),
    NamedCommand("audit", "cypher.commands.audit", help="The audit trail."),
    NamedCommand("backup", "cypher.commands.backup", help="Backups of the database and its keys."),
    NamedCommand("keys", "cypher.commands.keys", help="The keys that seal the data."),
    NamedCommand("tokens", "cypher.commands.tokens", help="Bearer tokens for backends and operators."),
    NamedCommand("users", "cypher.commands.users", help="The people who log in."),
    NamedCommand("sessions", "cypher.commands.sessions", help="The sessions of people who are logged in."),
    NamedCommand("rate-limits", "cypher.commands.rate_limits", help="Limits on attempts, and who has used them up."),
)

app = TyperGroup(
    commands=COMMANDS,
    no_args_is_help=True,
    help="Cypher, an authentication service. Its settings come from the environment and from .env in this folder.",
)


def main() -> None:
    """Run a command; the entry point of `cypher` and of run.py."""
    unwind_on_all()
    with in_a_sentence():
        app()
