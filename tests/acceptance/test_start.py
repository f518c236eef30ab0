"""The service starts on what fits together, or says in one sentence what does not, and changes nothing."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import Secret
from cypher.errors import CypherError, KeyStoreRefused, SchemaRefused
from tests.acceptance.person import Person


def checksum(folder: Path) -> str:
    parts = [f"{path.name}:{path.stat().st_mode}:".encode() + path.read_bytes() for path in sorted(folder.glob("*"))]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


async def refusal(config, kind: type[CypherError] = KeyStoreRefused) -> str:
    with pytest.raises(kind) as refused:
        async with resources(config, SystemClock(), may_create_keys=True):
            pass
    return str(refused.value)


@pytest.fixture
async def lived_in(start_service, http):
    """A service that a person has used, stopped again; returns its configuration."""
    service = await start_service()
    assert (await Person(http, service.url, "alice").register()).status == 201
    await service.stop()
    return service


async def test_it_finds_everything_again(lived_in, start_service, http) -> None:
    again = await start_service()
    assert (await Person(http, again.url, "alice").login()).status == 200


async def test_a_wrong_master_password_is_refused(lived_in) -> None:
    keys, before = lived_in.config.keys.path, checksum(lived_in.config.keys.path)
    wrong = lived_in.with_keys(master_password=Secret("w" * 40))
    assert "password" in await refusal(wrong)
    assert checksum(keys) == before


async def test_a_missing_store_over_sealed_rows_is_refused_and_no_new_one_is_made(lived_in, tmp_path) -> None:
    empty = tmp_path / "elsewhere"
    assert "no key store" in await refusal(lived_in.with_keys(path=empty))
    assert not (empty / "keyring.json").exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", None])
async def test_a_corrupt_or_truncated_store_is_refused(lived_in, damage) -> None:
    file = lived_in.config.keys.path / "keyring.json"
    file.write_bytes(file.read_bytes()[:200] if damage is None else damage)
    before = checksum(file.parent)
    assert str(file) in await refusal(lived_in.config)
    assert checksum(file.parent) == before


async def test_a_store_that_others_can_read_is_refused(lived_in) -> None:
    file = lived_in.config.keys.path / "keyring.json"
    file.chmod(0o640)
    message = await refusal(lived_in.config)
    assert str(file) in message
    assert "chmod" in message


async def test_another_databases_store_is_refused(lived_in, start_service_elsewhere) -> None:
    other = await start_service_elsewhere()
    await other.stop()
    assert "another database" in await refusal(lived_in.with_keys(path=other.config.keys.path))


async def test_an_older_copy_of_the_store_is_refused(lived_in, tmp_path, run_cli) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(lived_in.config.keys.path, copy)
    rotated = await run_cli(lived_in, "keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    assert "older" in await refusal(lived_in.with_keys(path=copy))


async def test_a_schema_that_is_behind_is_refused(lived_in) -> None:
    await lived_in.execute("DELETE FROM _yoyo_migration WHERE migration_id LIKE '0001%'")
    assert "cypher migrate" in await refusal(lived_in.config, SchemaRefused)


async def test_the_command_line_says_it_in_one_sentence(lived_in, run_cli) -> None:
    os.chmod(lived_in.config.keys.path, 0o755)
    outcome = await run_cli(lived_in, "keys", "status")
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("cypher: ")
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1
