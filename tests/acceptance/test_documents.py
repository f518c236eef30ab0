"""What README.md and docs/ show is run here against a running service."""

import asyncio
import json
import os
import re
import secrets
import subprocess
from pathlib import Path

import pytest

from cypher.client import CypherClient
from cypher.clock import new_bytes
from cypher.demo import SealedRows
from cypher.embedded import postgres_binaries
from cypher.postgres import Database

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"


def first_python(page: Path) -> str:
    return re.search(r"```python\n(.*?)```", page.read_text(), re.DOTALL).group(1)


async def test_the_readmes_first_login_works_as_it_stands(service, capsys):
    name = f"ada-{new_bytes(6).hex()}"
    source = (
        first_python(ROOT / "README.md").replace("http://127.0.0.1:8080", service.url).replace('"ada"', f'"{name}"')
    )
    code = compile(source, "README.md", "exec")
    await asyncio.to_thread(exec, code, {"__name__": "__main__"})
    shown = capsys.readouterr().out
    assert shown.startswith(f"{name} is logged in until ")
    assert "Authorization: Bearer ey" in shown


def keyring_by_the_page(page: Path, service, folder: Path) -> Path:
    """Run the page's command that makes keyring.json of a database; return the file."""
    (command,) = re.findall(r"```bash\n(.*)\n```", page.read_text())
    dsn = service.owner_dsn
    environment = {
        "PATH": f"{postgres_binaries()}:{os.environ['PATH']}",
        "PGHOST": dsn["host"],
        "PGPORT": str(dsn["port"]),
        "PGUSER": dsn["user"],
        "PGPASSWORD": dsn["password"] or "",
    }
    file = folder / "keyring.json"
    command = command.replace("DATABASE", dsn["database"]).replace("keyring.json", str(file))
    subprocess.run(["/bin/sh", "-ec", command], check=True, env=environment, cwd=ROOT)
    return file


@pytest.mark.parametrize("key_store", ["directory", "postgres"])
async def test_the_recovery_pages_lines_open_a_field_of_a_real_row(start_service, tmp_path, key_store):
    service = await start_service(KEY_STORE=key_store, MASTER_ENCRYPTION_PASSWORD=secrets.token_urlsafe(32))
    name = f"ada-{new_bytes(6).hex()}"
    async with CypherClient(service.url) as client:
        user = await client.register(name, PASSWORD)
    db = await Database.open(service.config.postgres, SealedRows)
    try:
        async with db.connection() as rows:
            row = await rows.get_sealed_user(user.id)
    finally:
        await db.close()

    page, lines = ROOT / "docs" / "recovery.md", {}
    exec(first_python(page), lines)
    file = service.config.keys.path / "keyring.json"
    if key_store == "postgres":
        file = keyring_by_the_page(page, service, tmp_path)
    store = json.loads(file.read_text())
    password = service.config.keys.master_password.reveal()
    place = ("users", "username", user.id.bytes)
    opened = lines["open_field"](store, password, row["username"], row["username_key_id"], *place)
    assert opened.decode() == name
