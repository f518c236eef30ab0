"""With the page of docs/recovery.md, and nothing of Cypher, every field of a service that was used is opened."""

import json
import re
import secrets
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from cypher.crypto.keyring import Algorithm, Purpose
from cypher.crypto.rotation import rotate
from cypher.embedded import postgres_binaries
from cypher.repositories.sealed_columns import COLUMNS
from tests.acceptance.person import Person
from tests.acceptance.service import ROOT, Service

PAGE = (ROOT / "docs" / "recovery.md").read_text()
PASSWORD = secrets.token_urlsafe(32)


def pages_lines() -> dict[str, object]:
    lines: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL).group(1), lines)
    return lines


def key_store_of(service: Service, folder: Path) -> dict:
    """Return keyring.json: as it lies there, or by the page's command."""
    if service.config.keys.store == "directory":
        return json.loads((service.config.keys.path / "keyring.json").read_text())
    dsn = service.owner_dsn
    database = f"host={dsn['host']} port={dsn['port']} user={dsn['user']} dbname={dsn['database']}"
    command = re.search(r"```bash\n(sed .*?)\n```", PAGE, re.DOTALL).group(1)
    command = command.replace("DATABASE", f"'{database}'").replace("keyring.json", str(folder / "keyring.json"))
    psql = f"{postgres_binaries()}:/usr/bin:/bin"
    environment = {"PATH": psql, "PGPASSWORD": dsn.get("password") or ""}
    subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, env=environment, check=True)
    return json.loads((folder / "keyring.json").read_text())


@pytest.mark.parametrize("store", ["directory", "postgres"])
async def test_the_pages_lines_open_whatever_a_service_has_sealed(start_service, http, tmp_path, store: str) -> None:
    service = await start_service(KEY_STORE=store, MASTER_ENCRYPTION_PASSWORD=PASSWORD)
    for name, algorithm in (("alice", Algorithm.AES_256_GCM), ("bob", Algorithm.FERNET)):
        person = Person(http, service.url, name)
        assert (await person.register()).status == 201
        assert (await person.refresh((await person.login()).body["refresh_token"])).status == 200
        rotate(service.resources.ring, Purpose.DATA, algorithm=algorithm)
    ring, open_field = key_store_of(service, tmp_path), pages_lines()["open_field"]
    seen: dict[str, set[bytes]] = {}
    async with service.resources.db.connection() as repos:
        for column in COLUMNS:
            for each in await repos.sealed_columns.list_stale(column, "none", column.before_all, 100):
                row_id = each.row_id.bytes if isinstance(each.row_id, UUID) else each.row_id
                place = (column.table, column.column, row_id)
                opened = open_field(ring, PASSWORD, each.sealed.ciphertext, each.sealed.key_id, *place)
                seen.setdefault(str(column), set()).add(opened)
    assert seen["users.username"] == {b"alice", b"bob"}
    assert {len(record) for record in seen["users.opaque_record"]} == {192}
    assert len(seen["refresh_tokens.successor"]) == 2
    assert all(b"127.0.0.1" in metadata for metadata in seen["refresh_tokens.metadata"])
