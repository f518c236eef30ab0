"""A key store that does not fit is refused in a sentence of its own, and neither it nor the database is touched."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from cypher.app import resources
from cypher.clock import SystemClock
from cypher.config import Config, Secret
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from tests.acceptance.person import Person
from tests.acceptance.service import Service
from tests.factories import as_owner

Case = tuple[Config, str]


@pytest.fixture
async def lived_in(start_service, http) -> Service:
    """A service that a person has used, stopped again."""
    service = await start_service()
    assert (await Person(http, service.url, "alice").register()).status == 201
    await service.stop()
    return service


def keys_of(service: Service) -> Path:
    assert service.config.keys.path is not None
    return service.config.keys.path


def wrong_password(service: Service, tmp_path: Path) -> Case:
    return service.with_keys(master_password=Secret("w" * 40)), (
        f"The master password does not open the key store at {keys_of(service)}. Set MASTER_ENCRYPTION_PASSWORD to the "
        "one that it was made with. Nothing was changed."
    )


def corrupt(service: Service, tmp_path: Path) -> Case:
    (keys_of(service) / "keyring.json").write_bytes(b'{"version": 1, "keys": "none"}')
    return service.config, _corrupt(service)


def truncated(service: Service, tmp_path: Path) -> Case:
    file = keys_of(service) / "keyring.json"
    file.write_bytes(file.read_bytes()[:-100])
    return service.config, _corrupt(service)


def _corrupt(service: Service) -> str:
    return (
        f"The key store's file {keys_of(service)}/keyring.json is corrupt or truncated. Bring it back from its backup. "
        "Nothing was changed."
    )


def readable_file(service: Service, tmp_path: Path) -> Case:
    file = keys_of(service) / "keyring.json"
    file.chmod(0o640)
    return service.config, (f"{file} is open to other users (mode 0640). Run: chmod 600 {file}. Nothing was changed.")


def readable_directory(service: Service, tmp_path: Path) -> Case:
    keys = keys_of(service)
    keys.chmod(0o755)
    return service.config, f"{keys} is open to other users (mode 0755). Run: chmod 700 {keys}. Nothing was changed."


def emptied(service: Service, tmp_path: Path) -> Case:
    return service.with_keys(path=tmp_path / "empty"), (
        f"There is no key store at {tmp_path / 'empty'}, but the database holds what one has sealed. Bring the key "
        "store back from its backup, or set KEY_STORE and KEY_STORE_PATH to where it is."
    )


def older(service: Service, tmp_path: Path) -> Case:
    return service.with_keys(path=tmp_path / "copy"), (
        f"The key store at {tmp_path / 'copy'} is older (generation 1) than the one this database has seen "
        "(generation 2). Bring the newest backup of the key store back."
    )


def lacking_a_key(service: Service, tmp_path: Path) -> Case:
    file = keys_of(service) / "keyring.json"
    ring = json.loads(file.read_text())
    gone = next(key for key in ring["keys"] if key["purpose"] == "data" and key["state"] == "decrypt_only")
    ring["keys"].remove(gone)
    file.write_text(json.dumps(ring))
    return service.config, (
        f"The key store at {keys_of(service)} lacks keys that this database has used: {gone['id']} (3 values). Bring "
        "the newest backup of the key store back."
    )


def forgotten(service: Service, tmp_path: Path) -> Case:
    as_owner(service.config.postgres, "DELETE FROM key_store_identity")
    return service.config, (
        "The database does not know the key store it belongs to. Start the service on an empty database, or restore "
        "this one together with its key store."
    )


def of_another_epoch(service: Service, tmp_path: Path) -> Case:
    as_owner(service.config.postgres, "UPDATE deployment SET epoch = 'later'")
    return service.config, (
        f"The database and the key store at {keys_of(service)} are not of one epoch: one of them was brought back from "
        "a backup, and what must end after that has not. Run: cypher backup restore --finish"
    )


CASES: list[Callable[[Service, Path], Case]] = [
    wrong_password,
    corrupt,
    truncated,
    readable_file,
    readable_directory,
    emptied,
    older,
    lacking_a_key,
    forgotten,
    of_another_epoch,
]


@pytest.mark.parametrize("prepare", CASES)
async def test_a_store_that_does_not_fit_is_refused_and_nothing_is_touched(
    lived_in: Service, tmp_path: Path, prepare: Callable[[Service, Path], Case]
) -> None:
    await _rotated(lived_in, copied_to=tmp_path / "copy")
    config, sentence = prepare(lived_in, tmp_path)
    before = _files(tmp_path), await _rows(lived_in)
    assert await _refusal(config) == sentence
    assert (_files(tmp_path), await _rows(lived_in)) == before


async def test_another_databases_store_is_refused_and_nothing_is_touched(
    lived_in: Service, tmp_path: Path, start_service_elsewhere
) -> None:
    other = await start_service_elsewhere()
    await other.stop()
    before = _files(tmp_path), await _rows(lived_in), await _rows(other)
    assert await _refusal(lived_in.with_keys(path=keys_of(other))) == (
        f"The key store at {keys_of(other)} belongs to another database. Set KEY_STORE and KEY_STORE_PATH to the store "
        "of this one, or POSTGRES_DB to the database of that one."
    )
    assert (_files(tmp_path), await _rows(lived_in), await _rows(other)) == before


async def _rotated(service: Service, *, copied_to: Path) -> None:
    """Keep a copy of the store, then replace its data key and let the database know."""
    shutil.copytree(keys_of(service), copied_to)
    async with resources(service.config, SystemClock()) as open_:
        rotate(open_.ring, Purpose.DATA)
        await open_.keys.note()


async def _refusal(config: Config) -> str:
    with pytest.raises(KeyStoreRefused) as refused:
        async with resources(config, SystemClock(), may_create_keys=True):
            pass
    return str(refused.value)


def _files(folder: Path) -> dict[str, str]:
    """Return a checksum of every file below, with its mode."""
    return {
        str(path): f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''}"
        for path in sorted(folder.rglob("*"))
    }


async def _rows(service: Service) -> list[Any]:
    """Return everything that the database knows of keys, and how much else there is."""
    connection = await asyncpg.connect(**service.owner_dsn)
    try:
        queries = (
            "SELECT * FROM key_store_identity",
            "SELECT * FROM data_keys ORDER BY key_id",
            "SELECT * FROM deployment",
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM audit_logs), (SELECT count(*) FROM key_store)",
        )
        return [[tuple(row) for row in await connection.fetch(query)] for query in queries]
    finally:
        await connection.close()
