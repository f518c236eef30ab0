"""What is backed up, and the empty place that it is brought back to."""

from pathlib import Path

import pytest

from cypher.backup.creating import Target, create_backup
from cypher.crypto.keyring import Purpose
from cypher.crypto.rotation import rotate
from tests.acceptance.authenticator import HandClock
from tests.acceptance.backup.steps import MASTER_PASSWORD, SILENT, settings
from tests.acceptance.person import Person
from tests.acceptance.service import Service

Paths = tuple[Path, Path]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def service(start_service) -> Service:
    return await start_service(MASTER_ENCRYPTION_PASSWORD=MASTER_PASSWORD)


@pytest.fixture
def empty(empty_postgres_config, redis_config, tmp_path) -> dict[str, str]:
    """Settings of a service on an empty database, whose key store is not there."""
    return settings(empty_postgres_config, redis_config, tmp_path / "keys-elsewhere")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Where the dump and the keys go."""
    return tmp_path / "here" / "dump", tmp_path / "there" / "keys"


@pytest.fixture
async def backup(service: Service, person: Person, paths: Paths) -> Paths:
    """A backup of a database with somebody in it, whose rows are under two data keys."""
    await person.register()
    rotate(service.resources.ring, Purpose.DATA)
    await person.login()
    await service.seal()
    await create_backup(service.resources, Target(data=paths[0], keys=paths[1]), SILENT)
    return paths
